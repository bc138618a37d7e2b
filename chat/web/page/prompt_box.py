"""The box with the prompt as the model reads it."""

from typing import Any

import gradio as gr

from chat.core.chat import Update

#: Its label before there is one.
EMPTY = "Nothing yet"


def prompt_box(**options: Any) -> gr.Textbox:
    """Return the box."""
    return gr.Textbox(label=EMPTY, lines=4, max_lines=24, elem_id="prompt", **options)


def shown_in_box(update: Update, before: Update | None) -> str | gr.Textbox:
    """Return what the box is to show, in which the prompt of `before` is."""
    if before and before.prompt == update.prompt:
        return update.prompt  # since Gradio would make the component anew, 25 times a second
    label = f"What the model read last: {update.prompt_tokens:,} tokens, control tokens visible"
    return gr.Textbox(update.prompt, label=label)
