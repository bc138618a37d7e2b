"""One message as other programs write it: who says what."""

from collections.abc import Mapping
from typing import Any

from prompts.base import Role

ROLES: dict[str, Role | None] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "model", "ai", "bot", "chatbot"), "assistant"),
    **dict.fromkeys(("claude", "bard", "bing", "gemini"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    # What these say is no text of anyone's.
    **dict.fromkeys(("tool", "function", "observation", "ipython", "environment"), None),
    **dict.fromkeys(("function_call", "function_response", "tool_call", "tool_response"), None),
}
#: Where the text stands; in the first of these that has some.
TEXT = ("content", "value", "text", "parts")
#: Parts of a content that have a text and are not what was said.
UNSAID = ("reasoning", "thinking", "think", "tool_use", "tool_call", "tool_result")


class Unreadable(ValueError):
    """It is not a message."""


def is_message(entry: Any) -> bool:
    """Whether this is a message rather than a conversation."""
    return isinstance(entry, Mapping) and (
        isinstance(entry.get("role"), str)
        or isinstance(entry.get("from"), str)
        or isinstance(entry.get("isCreatedByUser"), bool)
        or (isinstance(entry.get("sender"), str) and "text" in entry)
        or (isinstance(entry.get("author"), Mapping) and "content" in entry)
    )


def read(entry: Any) -> tuple[Role, str] | None:
    """Return the role and the text of a message, or None if there is no text of anyone's.

    Raises:
        Unreadable: it is not a message.
    """
    if not is_message(entry):
        raise Unreadable
    role = _role(entry)
    if len(entry) == 1:
        raise Unreadable
    texts = [text(entry.get(key)) for key in TEXT]
    said = next((found for found in texts if found.strip()), "")
    return (role, said) if role and said else None


def _role(entry: Mapping[str, Any]) -> Role | None:
    match entry:
        case {"isCreatedByUser": bool(is_user)}:
            return "user" if is_user else "assistant"
        case {"role": str(name)} | {"from": str(name)} | {"author": {"role": str(name)}}:
            if name.casefold() not in ROLES:
                raise Unreadable
            return ROLES[name.casefold()]
        case {"sender": str(name)}:
            return ROLES.get(name.casefold(), "assistant")  # the name of a model
        case _:
            raise Unreadable


def text(content: Any) -> str:
    """Return the text in a content: a string, a part, or a list of parts.

    Raises:
        Unreadable: it is nothing of that.
    """
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "".join(_part(part) for part in content)
        case Mapping():
            return _part(content)
        case _:
            raise Unreadable


def _part(part: Any) -> str:
    match part:
        case str():
            return part
        case {"type": str(kind)} if kind in UNSAID:
            return ""
        case {"text": str(said)} | {"text": {"value": str(said)}}:
            return said
        case {"parts": list(parts)}:
            return "".join(_part(one) for one in parts if not _has_parts(one))
        case _:
            return ""


def _has_parts(part: Any) -> bool:
    return isinstance(part, Mapping) and "parts" in part
