"""How the page looks, and what it does in the browser beyond Gradio's own."""

from pathlib import Path
from urllib.parse import quote

import gradio as gr

from chat.web.page.escape import ESCAPED
from chat.web.page.javascript import script
from chat.web.page.messages import COPIED
from chat.web.words import LANGUAGES

_HERE = Path(__file__).parent
#: As in Gradio's own theme, but that has 600 for bold, and its file of that lacks the letters.
FONTS = {
    "font": [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
}
#: No picture may come from an address (chat/web/headers.py), so the page's own comes with it.
ICON = f"data:image/svg+xml,{quote((_HERE / 'icon.svg').read_text('utf-8'))}"
CSS = "".join((_HERE / name).read_text("utf-8") for name in ("theme.css", "layout.css"))
SCRIPT = script(
    _HERE,
    *("words.js", "theme.js", "follow.js", "text.js", "controls.js"),
    ESCAPED=ESCAPED,
    COPIED=COPIED,
    LANGUAGES=LANGUAGES,
)
#: Gradio would have what is in CSS apply to its own part of the page alone.
STYLES = "".join((_HERE / name).read_text("utf-8") for name in ("print.css", "rtl.css"))
#: Gradio's page looks for the first line with each update, to its end where it finds none.
HEAD = f"""
<meta property="csp-nonce">
<link rel="icon" href="{ICON}">
<style>{STYLES}</style>
<script>{SCRIPT}</script>
"""
#: Gives the cursor to the text box (theme.js), as JavaScript.
FOCUS = "() => window.focusMessage()"
