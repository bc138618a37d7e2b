"""One message as other programs write it: who says what, and thought what before it."""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from chat.core.attached import block
from chat.core.title import line
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
#: Words in the types of parts that were not said; those in `THOUGHTS` were thought.
THOUGHTS = ("reasoning", "thinking", "think")
UNSAID = (*THOUGHTS, "tool", "function")
#: Where a message has what was thought before it, and where a part of its content has that.
THOUGHT = ("reasoning_content", "reasoningContent", "reasoning", "thinking")
THOUGHT_IN_PART = (*THOUGHTS, "text", "value", "summary")
#: What begins a reply of a model whose thought was kept as it wrote it.
TAGGED = re.compile(r"\s*<(think|thinking)>(.*?)</\1>(?:\s*\n)?", re.DOTALL)
#: As LibreChat kept it once.
FENCED = re.compile(r"\s*:::(thinking)[ \t]*\n(.*?)\n:::(?:\s*\n)?", re.DOTALL)
#: And as Open WebUI keeps it, before each part of a reply: each line as a quote, which may be
#: escaped. What was asked of tools stands there in the same way.
DETAILS = re.compile(
    r'^[ \t]*<details type="(reasoning|tool_calls|code_interpreter)"[^<>]*+>'
    r"\s*+(?:<summary>[^<]*+</summary>)?",
    re.MULTILINE,
)
CLOSED = "</details>"
#: What a file is called that has no name.
PASTED = "Pasted text"
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
        if not _is_unsaid(entry):
            raise Unreadable
        # An item between messages, as OpenAI's Responses have them: a thought, a call, a result.
        thought = "\n\n".join(filter(None, _thoughts_of_part(entry)))
        return Message("assistant", "", thought=thought) if thought else None
    role = _role(entry)
    if len(entry) == 1:
        raise Unreadable
    texts = [text(entry.get(key)) for key in TEXT]
    said = next((found for found in texts if found.strip()), "")
    if role == "user":
        said = "\n\n".join(filter(None, (*_files(entry), said)))
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
            return _joined(content)
        case Mapping():
            return _part(content)
        case _:
            raise Unreadable


def _joined(parts: Sequence[Any]) -> str:
    """Return what was said in parts: before a tool was asked and after it in paragraphs."""
    said: list[list[str]] = [[]]
    for part in parts:
        if _is_unsaid(part):
            said.append([])
        else:
            said[-1].append(_part(part))
    texts = [text for text in map("".join, said) if text.strip()]
    return texts[0] if len(texts) == 1 else "\n\n".join(text.strip("\n") for text in texts)


def _is_unsaid(part: Any) -> bool:
    match part:
        case {"type": str(kind)} if any(word in kind for word in UNSAID):
            return True
        case {"thought": True}:  # Gemini's
            return True
        case _:
            return False


def _part(part: Any) -> str:
    match part:
        case str():
            return part
        case _ if _is_unsaid(part):
            return ""
        case {"text": str(said)} | {"text": {"value": str(said)}} | {"value": str(said)}:
            return said
        case {"parts": list(parts)}:
            return _joined([one for one in parts if not _has_parts(one)])
        case _:
            return ""


def _has_parts(part: Any) -> bool:
    return isinstance(part, Mapping) and "parts" in part


def _files(entry: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts that came with a message, as Claude's has them, each as a block."""
    files = entry.get("attachments")
    for file in files if isinstance(files, list) else []:
        match file:
            case {"extracted_content": str(content)} if content.strip():
                name = file.get("file_name")
                yield block((isinstance(name, str) and line(name)) or PASTED, content, "")


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
        case {"type": str(kind)} if any(word in kind for word in THOUGHTS):
            values = (part.get(key) for key in THOUGHT_IN_PART)
            found = (text(value) for value in values if isinstance(value, str | list | Mapping))
            yield next((thought for thought in found if thought.strip()), "").strip()


def _apart(said: str) -> tuple[str, str]:
    """Return the thoughts that stand in a reply, and what was said."""
    if found := TAGGED.match(said) or FENCED.match(said):
        return found[2].strip(), said[found.end() :]
    thoughts, texts, place = [], [], 0
    for opened in DETAILS.finditer(said):
        if opened.start() < place:
            continue
        if (closed := said.find(CLOSED, opened.end())) < 0:
            break
        if opened[1] == "reasoning":
            thoughts.append(_quoted(said[opened.end() : closed]))
        texts.append(said[place : opened.start()])
        place = closed + len(CLOSED)
    if not place:
        return "", said
    texts.append(said[place:])
    paragraphs = (text.strip("\n") for text in texts if text.strip())
    return "\n\n".join(filter(None, thoughts)), "\n\n".join(paragraphs)


def _quoted(text: str) -> str:
    lines = text.strip()
    if lines.startswith("&gt;"):
        with suppress(ValueError):  # a number with thousands of digits
            lines = html.unescape(lines)
    return QUOTED.sub("", lines).strip()
