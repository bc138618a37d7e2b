"""How the page looks, and what it does in the browser beyond Gradio's own."""

from pathlib import Path
from urllib.parse import quote

import gradio as gr

from chat.web.page.escape import ESCAPED
from chat.web.page.javascript import script
from chat.web.page.messages import COPIED

_HERE = Path(__file__).parent
#: As in Gradio's own theme, but that has 600 for bold, and its file of that lacks the letters.
FONTS = {
    "font": [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<text y=".9em" font-size="90">💬</text></svg>'
)
CSS = "".join((_HERE / name).read_text("utf-8") for name in ("theme.css", "layout.css"))
#: No picture may come from an address (chat/web/headers.py), so the page's own comes with it.
HEAD = f"""
<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">
<style>{(_HERE / "print.css").read_text("utf-8")}</style>
<script>{script(_HERE, "theme.js", "follow.js", ESCAPED=ESCAPED, COPIED=COPIED)}</script>
"""
#: Gives the cursor to the text box (theme.js), as JavaScript.
FOCUS = "() => window.focusMessage()"
