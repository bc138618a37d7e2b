"""The conversation in the page, as a component of Gradio's."""

import gradio as gr

from chat.web.page.gradio_internals import change_texts
from chat.web.page.messages import given, shown

#: `$` is none of them: it is a currency more often than a formula.
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


def chatbot(welcome: str) -> gr.Chatbot:
    """Return the chatbot of the page, in which text stays text; empty it shows `welcome`."""
    made = gr.Chatbot(
        show_label=False,
        editable="user",
        placeholder=welcome,
        buttons=["copy", "copy_all"],
        latex_delimiters=FORMULAS,
        scale=1,
    )
    change_texts(made, shown=shown, given=given)
    return made
