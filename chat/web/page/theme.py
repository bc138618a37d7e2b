"""How the page looks, and what it does in the browser beyond Gradio's own."""

from pathlib import Path
from urllib.parse import quote

import gradio as gr

from chat.web.page.escape import ESCAPED
from chat.web.page.javascript import script
from chat.web.page.messages import COPIED

#: As in Gradio's own theme, but that has 600 for bold, and its file of that lacks the letters.
FONTS = {
    "font": [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
}
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">'
    '<text y=".9em" font-size="90">💬</text></svg>'
)
CSS = """
:root {
    --block-info-text-color: var(--neutral-500);
    --input-placeholder-color: var(--neutral-500);
}
#prompt textarea { font-family: var(--font-mono); font-size: var(--text-sm); }
#status { min-height: 1.6em; }
#status p { opacity: 0.75; font-size: var(--text-sm); margin: 0 4px; }
#state { flex-wrap: nowrap; align-items: center; }
#state > button { flex: none; }
.examples.examples.examples {
    grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr));
}
/* Who comes by keyboard sees where they are, and all text has the contrast of WCAG's AA. */
*:focus-visible, #message:focus-within {
    outline: 2px solid var(--color-accent) !important;
    outline-offset: -2px;  /* inside, since boxes cut off what stands out */
}
#message textarea { outline: none !important; }
.min_value, .max_value, input.subdued { color: var(--block-info-text-color) !important; }
pre .token { filter: brightness(0.65); }
.dark pre .token { filter: brightness(1.6); }
.thought-group.thought-group { padding-inline-end: 14px; }
/* A user's message is what was typed (escape.py). */
[data-testid="user"] p { white-space: pre-wrap; tab-size: 4; }
/* Each paragraph runs as its own script does: right to left for Arabic, in the box too. */
.message :is(p, li, h1, h2, h3, h4, h5, h6, td, th), textarea {
    unicode-bidi: plaintext;
    text-align: start;
}
/* Where nobody looks, nothing is laid out: else each update of a reply lays out all messages. */
[role="log"] :is(.message-row, .message-buttons-left, .message-buttons-right) {
    content-visibility: auto;
    contain-intrinsic-block-size: auto 8rem;
}
footer { display: none !important; }
"""
_HERE = Path(__file__).parent
#: No picture may come from an address (chat/web/headers.py), so the page's own comes with it.
HEAD = f"""
<link rel="icon" href="data:image/svg+xml,{quote(ICON)}">
<style>{(_HERE / "print.css").read_text("utf-8")}</style>
<script>{script(_HERE, "theme.js", ESCAPED=ESCAPED, COPIED=COPIED)}</script>
"""
#: Gives the cursor to the text box (theme.js), as JavaScript.
FOCUS = "() => window.focusMessage()"
