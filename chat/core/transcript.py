"""Conversations as files: what the terminal saves and loads.

It saves a list of messages, a system prompt first, or Markdown; of JSON it loads
what it has saved, what the page has exported, and what people bring (`chat.core.imports`).
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from chat.core import imports, markdown
from chat.core.conversation import clean
from chat.core.export import parse
from chat.errors import BadRequest
from prompts.base import Message
from prompts.order import in_turns
from prompts.unicode import decode

#: More bytes than this are no conversation that a model could read.
LARGEST = imports.LARGEST
MARKDOWN = (".md", ".markdown")


def save(file: str, messages: list[Message]) -> None:
    """Write `messages` to `file`, which may hold what was saved before, and nothing else.

    A name that ends in .md gets Markdown.

    Raises:
        BadRequest: it cannot be written, or something else is there.
    """
    path = _path(file)
    is_markdown = path.suffix.lower() in MARKDOWN
    if is_markdown:
        text = markdown.write(clean(path.stem), messages)
    else:
        entries = [message.entry for message in messages]
        text = json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
    try:
        data = text.encode()
        if path.exists() and not (_is_markdown if is_markdown else _is_conversation)(path):
            raise BadRequest(f"{file} is there already, and is not a conversation.")
        _put(path, data)
    except (OSError, ValueError) as error:
        raise BadRequest(f"{file} cannot be written{_reason(error)}.") from None


def read(file: str, note: Callable[[str], None] = lambda sentence: None) -> list[Message]:
    """Return the messages in `file`: system?, assistant?, (user, assistant)*.

    `note` is told what of the file was left out, if something was.

    Raises:
        BadRequest: it cannot be read, or does not hold one conversation.
    """
    path = _path(file)
    try:
        if not path.is_file():
            raise BadRequest(f"There is no file {file}.")
        if path.stat().st_size > LARGEST:
            raise BadRequest(f"{file} is too large for a conversation.")
        data = path.read_bytes()
    except OSError as error:
        raise BadRequest(f"{file} cannot be read{_reason(error)}.") from None
    if (saved := _saved(data)) is not None:
        return saved
    taken = imports.take(data, file)
    if len(taken.conversations) != 1:
        number = len(taken.conversations)
        raise BadRequest(f"{file} holds {number} conversations; export the one you want alone.")
    messages = [one.message for one in taken.conversations[0].messages]
    if messages[-1].role == "user":
        raise BadRequest(f"{file} ends with a message that has no reply.")
    if taken.left:
        note(taken.sentence)
    return messages


def _saved(data: bytes) -> list[Message] | None:
    """Return the messages in what was saved or exported here, or None if it is anything else."""
    try:
        found = parse(json.loads(decode(data)), "It")
    except (ValueError, RecursionError, BadRequest):
        return None
    if len(found) != 1:
        return None
    messages = [
        Message(one.role, clean(one.content), thought=clean(one.reasoning_content))
        for one in found[0].messages
    ]
    roles = [message.role for message in messages]
    dialogue = roles["system" in roles[:1] :]
    # What a user's message can follow is a conversation, and so is what follows a greeting.
    if not in_turns([*dialogue["assistant" in dialogue[:1] :], "user"]):
        return None
    return messages


def _put(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all: what was saved before outlasts a disk that is full."""
    path = Path(os.path.realpath(path))  # a link stays one
    beside = path.with_name(f".saving-{os.getpid()}")
    try:
        beside.write_bytes(data)
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _is_conversation(path: Path) -> bool:
    """Whether it is a list of messages, as it is saved here; an export of the page holds more."""
    if not path.is_file() or path.stat().st_size > LARGEST:
        return False
    data = path.read_bytes()
    return _saved(data) is not None and decode(data).lstrip().startswith("[")


def _is_markdown(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as file:
        return markdown.is_written(file.read(1000))


def _path(file: str) -> Path:
    try:
        return Path(file).expanduser()
    except RuntimeError:  # a home that nobody has
        return Path(file)


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None)
    return f" ({reason})" if reason else ""
