"""How the page looks, and what it does in the browser beyond Gradio's own."""

import gradio as gr

#: As in Gradio's own theme, but that has 600 for bold, and its file of that lacks the letters.
FONTS = {
    "font": [gr.themes.LocalFont("Source Sans Pro", weights=(400, 700)), "system-ui", "sans-serif"],
    "font_mono": [gr.themes.LocalFont("IBM Plex Mono", weights=(400, 700)), "monospace"],
}
CSS = """
:root {
    --block-info-text-color: var(--neutral-500);
    --input-placeholder-color: var(--neutral-500);
}
#prompt textarea { font-family: var(--font-mono); font-size: var(--text-sm); }
#status { min-height: 1.6em; }
#status p { opacity: 0.75; font-size: var(--text-sm); margin: 0 4px; }
.message-content { contain: paint; }
footer { display: none !important; }
"""
#: A picture that the model asks for must not tell another host who reads it.
HEAD = """
<meta http-equiv="Content-Security-Policy" content="img-src 'self' data: blob:; media-src 'self'">
"""

#: The text box loses the cursor when it is locked; not on phones, where it calls the keyboard.
FOCUS = """() => {
    if (document.activeElement === document.body && matchMedia("(pointer: fine)").matches)
        document.querySelector("#message textarea").focus({preventScroll: true});
}"""
