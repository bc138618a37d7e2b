"""The conversation in the page: how messages are shown, and how they come back."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from chat.core.conversation import text_of
from chat.web.page.escape import escape, unescape
from chat.web.page.gradio_internals import change_texts
from chat.web.page.history import History, entry

#: `$` is none of them: it is a currency more often than a formula.
FORMULAS = [
    {"left": "$$", "right": "$$", "display": True},
    {"left": "\\[", "right": "\\]", "display": True},
    {"left": "\\(", "right": "\\)", "display": False},
]
PLACEHOLDER = "**Say something.** Shift + Enter starts a new line."


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
    change_texts(made, shown=_each(escape), given=_each(unescape))
    return made


def _each(change: Callable[[str], str]) -> Callable[[Any], History]:
    return lambda messages: [
        entry(one["role"], change(text_of(one["content"]))) for one in messages or []
    ]
