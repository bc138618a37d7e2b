"""The conversation in the page: how messages are shown, and how they come back."""

from typing import Any

import gradio as gr

from chat.core.conversation import text_of
from chat.web.page.escape import escape, unescape, verbatim
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
    change_texts(made, shown=_shown, given=_given)
    return made


def _shown(messages: Any) -> History:
    """Return messages as the browser gets them: a reply is Markdown, all else is typed."""
    shown: History = []
    for message in messages or []:
        as_shown = escape if message["role"] == "assistant" else verbatim
        shown.append(entry(message["role"], as_shown(text_of(message["content"]))))
    return shown


def _given(messages: Any) -> History:
    return [entry(one["role"], unescape(text_of(one["content"]))) for one in messages or []]
