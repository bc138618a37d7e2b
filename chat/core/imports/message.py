"""One message as other programs write it: who says what, and thought what before it."""

import html
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from prompts.base import Message, Role

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
#: Parts of a content that have a text and are not what was said; those in `THOUGHTS` were thought.
THOUGHTS = ("reasoning", "thinking", "think")
UNSAID = (*THOUGHTS, "tool_use", "tool_call", "tool_result")
#: Where a message has what was thought before it, and where a part of its content has that.
THOUGHT = ("reasoning_content", "reasoning", "thinking")
THOUGHT_IN_PART = (*THOUGHTS, "text", "value", "summary")
#: What begins a reply of a model whose thought was kept as it wrote it.
TAGGED = re.compile(r"\s*<(think|thinking)>(.*?)</\1>(?:\s*\n)?", re.DOTALL)
#: As LibreChat kept it once.
FENCED = re.compile(r"\s*:::(thinking)[ \t]*\n(.*?)\n:::(?:\s*\n)?", re.DOTALL)
#: And as Open WebUI keeps it, each line as a quote, which may be escaped.
DETAILS = re.compile(
    r'\s*<details type="reasoning"[^>]*+>\s*+(?:<summary>[^<]*+</summary>)?(.*?)</details>'
    r"(?:\s*\n)?",
    re.DOTALL,
)
QUOTED = re.compile(r"^> ?", re.MULTILINE)


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


def read(entry: Any) -> Message | None:
    """Return who says what, or thinks, or None if there is no text of anyone's.

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
    if role != "assistant":
        return Message(role, said) if role and said else None
    thought = "\n\n".join(filter(None, _thoughts(entry)))
    begun, said = _apart(said)
    thought = "\n\n".join(filter(None, (thought, begun)))
    return Message(role, said, thought=thought) if said.strip() or thought else None


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
        case {"thought": True}:  # Gemini's
            return ""
        case {"text": str(said)} | {"text": {"value": str(said)}} | {"value": str(said)}:
            return said
        case {"parts": list(parts)}:
            return "".join(_part(one) for one in parts if not _has_parts(one))
        case _:
            return ""


def _has_parts(part: Any) -> bool:
    return isinstance(part, Mapping) and "parts" in part


def _thoughts(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was thought before a message, wherever a program writes that."""
    found = (entry[key] for key in THOUGHT if isinstance(entry.get(key), str))
    yield next(found, "").strip()
    for key in TEXT:
        parts = entry.get(key)
        for part in parts if isinstance(parts, list) else [parts]:
            yield from _thoughts_of_part(part)


def _thoughts_of_part(part: Any) -> Iterator[str]:
    match part:
        case {"content_type": "thoughts", "thoughts": list(thoughts)}:  # ChatGPT's
            for one in thoughts:
                lines = [one.get("summary"), one.get("content")] if isinstance(one, Mapping) else []
                yield "\n\n".join(line.strip() for line in lines if isinstance(line, str) and line)
        case {"parts": list(parts)}:
            for one in parts:
                if not _has_parts(one):
                    yield from _thoughts_of_part(one)
        case {"thought": True, "text": str(thought)}:
            yield thought.strip()
        case {"type": str(kind)} if kind in THOUGHTS:
            values = (part.get(key) for key in THOUGHT_IN_PART)
            found = (text(value) for value in values if isinstance(value, str | list | Mapping))
            yield next((thought for thought in found if thought.strip()), "").strip()


def _apart(said: str) -> tuple[str, str]:
    """Return the thought that a reply begins with, and what comes after it."""
    if found := TAGGED.match(said) or FENCED.match(said):
        return found[2].strip(), said[found.end() :]
    if found := DETAILS.match(said):
        lines = found[1].strip()
        if lines.startswith("&gt;"):
            with suppress(ValueError):  # a number with thousands of digits
                lines = html.unescape(lines)
        return QUOTED.sub("", lines).strip(), said[found.end() :]
    return "", said
