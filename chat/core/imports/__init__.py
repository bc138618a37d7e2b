"""What people bring: files with conversations of any program, as many as can be taken.

Each program's format is a file here, with a function `read` that finds one
conversation in an entry, or None. Another format is one more of them in `FORMATS`.
What is found becomes messages here, whoever wrote it: a system prompt, if there
is one, then user and assistant in turn, of whom either may begin.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from chat.core.conversation import clean, dialogue
from chat.core.export import MOST_WAYS, Branch, Entry, Exported, Fork, parse, ways
from chat.core.imports import (
    chatgpt,
    claude,
    deepseek,
    librechat,
    llama_cpp,
    message,
    open_webui,
    request,
    sharegpt,
)
from chat.core.imports.found import Found
from chat.core.imports.message import Unreadable
from chat.core.title import line
from chat.errors import BadRequest
from prompts.base import Message
from prompts.order import joined
from prompts.unicode import decode

FORMATS: tuple[Callable[[Mapping[str, Any]], Found | None], ...] = (
    deepseek.read,
    chatgpt.read,
    open_webui.read,
    librechat.read,
    llama_cpp.read,
    claude.read,
    sharegpt.read,
    request.read,
)
#: Where a file may have its list of conversations, if it is not the list itself.
LISTS = ("conversations", "chats", "items", "data")

#: More conversations than this are not taken at once.
MOST = 1000
#: More bytes than this are no conversations that a model could read.
LARGEST = 50_000_000
#: Seconds beyond this, the year 5138, are milliseconds.
LATEST = 1e11

Reason = Literal["no text", "unreadable", "too long", "too many", "messages"]
#: Why something was left out, of one and of several.
REASONS: dict[Reason, tuple[str, str]] = {
    "no text": ("holds no text", "hold no text"),
    "unreadable": ("cannot be read", "cannot be read"),
    "too long": ("is too long to be saved", "are too long to be saved"),
    "too many": (
        f"is one more than the {MOST:,} that are taken at once",
        f"are more than the {MOST:,} that are taken at once",
    ),
    "messages": ("message without text was left out", "messages without text were left out"),
}


class Taken(NamedTuple):
    """The conversations that were taken, and how often what was left out for which reason."""

    conversations: list[Exported]
    left: Counter[Reason]

    @property
    def sentence(self) -> str:
        """What was taken and what was not, and why."""
        return sentence(len(self.conversations), self.left)


def take(content: Any, file: str = "This file") -> Taken:
    """Return the conversations in `content`: the bytes of a file, or what was JSON in it.

    In each the system prompt comes first, wherever the system spoke. Then user and
    assistant speak in turn: messages in a row from one side become one.

    Raises:
        BadRequest: there is none that can be taken; calls it `file`, and says why.
    """
    left: Counter[Reason] = Counter()
    if isinstance(content, bytes):
        content = _json(content, file, left)
    found: Sequence[Found | None] = _find(content)
    if not found or _is_ours(content):
        found = [_found(one) for one in parse(content, file)]
    left["too many"] += len(found[MOST:])
    taken = [one for one in (_taken(one, left) for one in found[:MOST]) if one]
    if not taken and left.total():
        raise BadRequest(_nothing(file, left))
    return Taken(taken, +left)


def sentence(taken: int, left: Mapping[Reason, int], verb: str = "Took") -> str:
    """Say how many conversations were taken, what was left out, and why."""
    total = taken + sum(left.get(reason, 0) for reason in REASONS if reason != "messages")
    number = f"{taken:,}" if taken == total else f"{taken:,} of {total:,}"
    return f"{verb} {number} conversation{'s' * (total != 1)}{_reasons(left)}."


def _reasons(left: Mapping[Reason, int]) -> str:
    numbers = ((left.get(reason, 0), forms) for reason, forms in REASONS.items())
    return "".join(f"; {number:,} {forms[number != 1]}" for number, forms in numbers if number)


def _nothing(file: str, left: Counter[Reason]) -> str:
    if left.total() == 1 and left["no text"]:
        return f"{file} holds no text."
    if left.total() == 1:
        return f"{file} is no conversation and no export of some."
    return f"{file} holds no conversation that can be taken{_reasons(left)}."


def _json(data: bytes, file: str, left: Counter[Reason]) -> Any:
    """Return what is JSON in the bytes of a file, or a list of what is JSON in its lines."""
    if len(data) > LARGEST:
        raise BadRequest(f"{file} is too large for a conversation.")
    values: list[Any] = []
    try:
        text = decode(data)
        with suppress(ValueError, RecursionError):
            return json.loads(text)
        for line in filter(str.strip, text.split("\n")):
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                if not isinstance(values[0], dict | list):
                    raise
                left["messages" if message.is_message(values[0]) else "unreadable"] += 1
        return [values[0], *values[1:]]
    except (ValueError, RecursionError, IndexError):
        raise BadRequest(f"{file} is not JSON in UTF-8.") from None


def _is_ours(content: Any) -> bool:
    return isinstance(content, Mapping) and content.get("format") == "fourbit-chat"


def _find(content: Any, depth: int = 3) -> list[Found | None]:
    """Return the conversations in what was JSON, None for each that is none."""
    if isinstance(content, Mapping):
        for read in FORMATS:
            if found := read(content):
                return [found]
        inner = (content[key] for key in LISTS if isinstance(content.get(key), list))
        return _find(next(inner, None), depth) if depth else []
    if not isinstance(content, list) or not depth:
        return []
    if not content or message.is_message(content[0]):
        return [Found(content)] if content or depth == 3 else []
    several: list[Found | None] = []
    for entry in content:
        several += _find(entry, depth - 1) or [None]
    return several if any(several) else []


def _found(conversation: Exported) -> Found:
    messages = [entry.model_dump() for entry in conversation.messages]
    return Found(messages, conversation.title, conversation.saved, ours=conversation)


def _taken(found: Found | None, left: Counter[Reason]) -> Exported | None:
    """Return a conversation, or None and count why not."""
    try:
        said = [message.read(entry) for entry in found.messages] if found else None
        system = message.text(found.system) if found else ""
    except Unreadable:
        said = None
    if found is None or said is None:
        left["unreadable"] += 1
        return None
    texts = [Message("system", clean(system))]
    texts += [
        one._replace(content=clean(one.content), thought=clean(one.thought))
        for one in filter(None, said)
    ]
    texts = [one for one in texts if (one.content + one.thought).strip()]
    systems = [one.content for one in texts if one.role == "system"]
    dialogue = joined(one for one in texts if one.role != "system")
    if not dialogue:
        left["no text"] += 1
        return None
    left["messages"] += said.count(None)
    messages = [*([Message("system", "\n\n".join(systems))] if systems else []), *dialogue]
    ours = found.ours or Branch(messages=[])
    return Exported(
        title=line(found.title) if isinstance(found.title, str) else "",
        saved=_time(found.time),
        messages=_entries(messages, ours.messages),
        versions=list(_forks(ours.versions, len(dialogue))),
    )


def _forks(forks: Sequence[Fork], messages: int) -> Iterator[Fork]:
    """Yield the forks of a conversation of so many messages, cleaned as those are."""
    if ways(forks) > MOST_WAYS:
        return
    for fork in forks:
        found = [way and _branch(way) for way in fork.ways]
        if fork.at <= messages and found.count(None) == 1:
            yield Fork(at=fork.at, ways=found)


def _branch(branch: Branch) -> Branch | None:
    """Return what is said in it, or None if nothing is."""
    messages = dialogue([entry.model_dump() for entry in branch.messages])
    entries = _entries(messages, branch.messages)
    versions = list(_forks(branch.versions, len(messages)))
    return Branch(messages=entries, versions=versions) if entries else None


def _entries(messages: Sequence[Message], read: Sequence[Entry]) -> list[Entry]:
    """Return messages as they are saved, with how they were made where that was read."""
    entries = [Entry(**message.entry) for message in messages]
    if len(read) == len(entries):
        for entry, one in zip(entries, read, strict=True):
            entry.made = one.made
    return entries


def _time(value: Any) -> datetime | None:
    """Return a time that is given as such, as ISO 8601 says it, or in (milli)seconds since 1970."""
    with suppress(ValueError, OverflowError, OSError):
        match value:
            case datetime():
                return value
            case str():
                time = datetime.fromisoformat(value)
                return time if time.tzinfo else time.replace(tzinfo=UTC)
            case int() | float() if not isinstance(value, bool):
                return datetime.fromtimestamp(value / 1000 if value > LATEST else value, UTC)
    return None
