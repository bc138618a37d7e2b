"""A conversation as a file: a JSON list of {role, content}, a system prompt first."""

import json
from pathlib import Path

from chat.conversation import clean
from chat.errors import BadRequest
from prompts.base import Message, PromptError, check

#: More bytes than this are no conversation that a model could read.
LARGEST = 50_000_000


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
    """Return the messages in `file`: system?, (user, assistant)*.

    Raises:
        BadRequest: it cannot be read, or does not hold that.
    """
    path = _path(file)
    try:
        if not path.is_file():
            raise BadRequest(f"There is no file {file}.")
        if path.stat().st_size > LARGEST:
            raise BadRequest(f"{file} is too large for a conversation.")
        entries = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise BadRequest(f"{file} cannot be read{_reason(error)}.") from None
    except (ValueError, RecursionError):
        raise BadRequest(f"{file} is not JSON in UTF-8.") from None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict) and {"role", "content"} <= entry.keys() for entry in entries
    ):
        raise BadRequest(f"{file} is not a list of objects with a role and a content each.")
    messages = [Message(entry["role"], entry["content"]) for entry in entries]
    if messages and messages[-1].role == "user":
        raise BadRequest(f"{file} ends with a message that has no reply.")
    try:
        # What a user's message can follow is a conversation.
        check([*messages, Message("user", "")])
    except PromptError as error:
        raise BadRequest(f"{file} is not a conversation. {error}") from None
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
