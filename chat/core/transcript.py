"""Conversations as files: what the page exports and imports, and the terminal saves and loads.

    {"format": "fourbit-chat", "version": 1, "conversations": [
        {"title": "Rain", "saved": "2026-01-31T12:00:00Z", "messages": [
            {"role": "user", "content": "A poem?"},
            {"role": "assistant", "content": "Drops on the window."}]}]}

The list of messages alone, a system prompt first, is a conversation too. That is
what the terminal saves and what other programs read; page and terminal load both.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, StrictStr, ValidationError

from chat.core.conversation import clean
from chat.errors import BadRequest
from prompts.base import Message, Role
from prompts.order import in_turns

#: More bytes than this are no conversation that a model could read.
LARGEST = 50_000_000


class Entry(BaseModel):
    """One message."""

    role: Role
    content: StrictStr


class Conversation(BaseModel):
    """A conversation with a name, and when it was saved last."""

    title: StrictStr = ""
    saved: AwareDatetime | None = None
    messages: list[Entry]


class File(BaseModel):
    """What the page exports."""

    format: Literal["fourbit-chat"]
    version: Literal[1]
    conversations: list[Conversation]


def parse(content: Any, file: str) -> list[Conversation]:
    """Return the conversations in `content`, which was JSON.

    Raises:
        BadRequest: there are none; calls it `file`, and says where it is at fault.
    """
    try:
        if isinstance(content, list):
            return [Conversation(messages=content)]
        return File.model_validate(content).conversations
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadRequest(
            f"{file} is no conversation and no export of some"
            f"{f' ({where} is at fault)' if where else ''}."
        ) from None


def save(file: str, messages: list[Message]) -> None:
    """Write `messages` to `file`, which may hold another conversation, and nothing else.

    Raises:
        BadRequest: it cannot be written, or something else is there.
    """
    path = _path(file)
    entries = [message._asdict() for message in messages]
    try:
        if path.exists() and not _is_conversation(file):
            raise BadRequest(f"{file} is there already, and is not a conversation.")
        path.write_text(json.dumps(entries, ensure_ascii=False, indent=2) + "\n", "utf-8")
    except (OSError, ValueError) as error:
        raise BadRequest(f"{file} cannot be written{_reason(error)}.") from None


def load(file: str) -> list[Message]:
    """Return the messages in `file`: system?, assistant?, (user, assistant)*.

    Raises:
        BadRequest: it cannot be read, or does not hold that.
    """
    path = _path(file)
    try:
        if not path.is_file():
            raise BadRequest(f"There is no file {file}.")
        if path.stat().st_size > LARGEST:
            raise BadRequest(f"{file} is too large for a conversation.")
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadRequest(f"{file} cannot be read{_reason(error)}.") from None
    except (ValueError, RecursionError):
        raise BadRequest(f"{file} is not JSON in UTF-8.") from None
    found = parse(content, file)
    if len(found) != 1:
        raise BadRequest(f"{file} holds {len(found)} conversations; export the one you want alone.")
    messages = [Message(entry.role, entry.content) for entry in found[0].messages]
    if messages and messages[-1].role == "user":
        raise BadRequest(f"{file} ends with a message that has no reply.")
    roles = [message.role for message in messages]
    dialogue = roles["system" in roles[:1] :]
    # What a user's message can follow is a conversation, and so is what follows a greeting.
    if not in_turns([*dialogue["assistant" in dialogue[:1] :], "user"]):
        raise BadRequest(f"{file} is not a conversation, in which user and assistant take turns.")
    return [Message(role, clean(content)) for role, content in messages]


def _is_conversation(file: str) -> bool:
    try:
        load(file)
    except BadRequest:
        return False
    return True


def _path(file: str) -> Path:
    try:
        return Path(file).expanduser()
    except RuntimeError:  # a home that nobody has
        return Path(file)


def _reason(error: Exception) -> str:
    reason = getattr(error, "strerror", None)
    return f" ({reason})" if reason else ""
