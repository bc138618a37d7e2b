"""The conversation as the page has it: messages of a `role`, each with a list of parts.

An assistant's message may hold what was thought before it, as `reasoning_content`.
"""

from typing import Any, NamedTuple

from chat.core.conversation import text_of

History = list[dict[str, Any]]


class Thought(NamedTuple):
    """What was thought before a reply, and what it took."""

    text: str = ""
    seconds: float = 0.0
    tokens: int = 0


NO_THOUGHT = Thought()


def entry(role: str, text: str, thought: Thought = NO_THOUGHT) -> dict[str, Any]:
    """Return a message as a part, since Gradio takes the indentation off a bare string."""
    made = {"role": role, "content": [{"type": "text", "text": text}]}
    if not thought.text:
        return made
    took = {"seconds": thought.seconds, "tokens": thought.tokens}
    return {**made, "reasoning_content": thought.text, **took}


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


def last_thought(history: History) -> Thought:
    """Return what was thought before the last message, if that is an assistant's."""
    return thought_of(history[-1]) if history else NO_THOUGHT


def thought_of(message: dict[str, Any]) -> Thought:
    """Return what was thought before a message."""
    took = message.get("seconds", 0.0), message.get("tokens", 0)
    return Thought(message.get("reasoning_content", ""), *took)
