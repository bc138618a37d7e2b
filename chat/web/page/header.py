"""The line at the top of the page: what is talked about, with whom, and a button on each side."""

from pathlib import Path

import gradio as gr

from chat.web.page.javascript import script

_HERE = Path(__file__).parent
HTML = """
<button value="panel" aria-label="Conversations" aria-expanded="false" title="Conversations">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 6h16M4 12h16M4 18h10"/></svg>
</button>
<h1 dir="auto" translate="no"></h1>
<span class="model" translate="no"></span>
<button value="drawer" aria-label="Settings" aria-expanded="false">
    <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d="M4 7h8m6 0h2M4 17h2m6 0h8"/><circle cx="15" cy="7" r="2.5"/>
        <circle cx="9" cy="17" r="2.5"/>
    </svg><span>Settings</span>
</button>
"""


def header(title: str, model: str, adapter: gr.components.FormComponent) -> None:
    """Render it; where there is a choice of adapters, `adapter` is a menu in it."""
    adapter.container = adapter.show_label = False
    adapter.info = None
    with gr.Row(elem_id="header"):
        gr.HTML(
            html_template=HTML,
            js_on_load=script(_HERE, "header.js", TITLE=title, MODEL=model),
            apply_default_css=False,
            container=False,
        )
        adapter.render()
