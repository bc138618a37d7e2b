"""The conversation as the page has it: messages of a `role`, each with a list of parts."""

from typing import Any

from chat.core.conversation import text_of

History = list[dict[str, Any]]


def entry(role: str, text: str) -> dict[str, Any]:
    """Return a message as a part, since Gradio takes the indentation off a bare string."""
    return {"role": role, "content": [{"type": "text", "text": text}]}


def split_last(history: History) -> tuple[History, str]:
    """Return what comes before the user's last message, and its text.

    Messages in a row are one, as they are for the model (`chat.core.conversation.dialogue`).
    """
    end = len(history)
    while end and history[end - 1]["role"] == "assistant":
        end -= 1
    start = end
    while start and history[start - 1]["role"] == "user":
        start -= 1
    return history[:start], "\n\n".join(text_of(one["content"]) for one in history[start:end])


def last_reply(history: History) -> str:
    """Return the text of the last message if it is an assistant's."""
    if not history or history[-1]["role"] != "assistant":
        return ""
    text = text_of(history[-1]["content"])
    return text if text.strip() else ""  # the indentation at its beginning is a part of it
