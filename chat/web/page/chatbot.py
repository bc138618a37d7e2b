"""The conversation in the page, and the turn that is being written, as components of Gradio's."""

from typing import Any

import gradio as gr

from chat.web import stubs
from chat.web.page.messages import given, shown

#: `$` is none of them: it is a currency more often than a formula.
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]


with stubs.unwritten():

    class Chatbot(gr.Chatbot):
        """Gradio's, in which text stays text."""

        is_template = True  # of Gradio's own, which is all that the browser knows

        def preprocess(self, payload: Any) -> Any:
            """Return the history in what the browser sent.

            Gradio's own would make whatever component a message names, with what it names.
            """
            return given(payload.model_dump() if payload else [])

        def postprocess(self, value: Any) -> Any:
            """Return a history as the browser gets it."""
            return super().postprocess(shown(value))


#: What both are like; the page scrolls them as one.
ALIKE: dict[str, Any] = {
    "show_label": False,
    "latex_delimiters": FORMULAS,
    "height": None,
    "autoscroll": False,
    "container": False,
}


def conversation(welcome: str) -> Chatbot:
    """Return the conversation; empty it shows `welcome`."""
    buttons = ["copy", "copy_all"]
    return Chatbot(editable="user", placeholder=welcome, buttons=buttons, elem_id="said", **ALIKE)


def live(**options: Any) -> Chatbot:
    """Return what shows one turn, below it."""
    return Chatbot(buttons=[], elem_id="live", **ALIKE, **options)
