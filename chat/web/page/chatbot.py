"""The conversation in the page: how messages are shown, and how they come back."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from chat.core.conversation import text_of
from chat.web.page.escape import shown, written

#: `$` is none of them: it is a currency more often than a formula.
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
PLACEHOLDER = "**Say something.** Shift + Enter starts a new line."

History = list[dict[str, Any]]


def chatbot() -> gr.Chatbot:
    """Return the chatbot of the page, in which text stays text."""
    made = gr.Chatbot(
        show_label=False,
        editable="user",
        placeholder=PLACEHOLDER,
        buttons=["copy", "copy_all"],
        latex_delimiters=FORMULAS,
        scale=1,
    )
    preprocess, postprocess = made.preprocess, made.postprocess
    # The browser knows no class but Gradio's own.
    made.preprocess = lambda payload: _changed(written, preprocess(payload))
    made.postprocess = lambda value: postprocess(_changed(shown, value or []))
    return made


def _changed(change: Callable[[str], str], messages: History) -> History:
    return [entry(message["role"], change(text_of(message["content"]))) for message in messages]


def entry(role: str, text: str) -> dict[str, Any]:
    """Return a message as a part, since Gradio takes the indentation off a bare string."""
    return {"role": role, "content": [{"type": "text", "text": text}]}
