"""Conversations as the panel saves, exports and imports them."""

import json
from base64 import b64encode
from typing import Any

from chat.core.imports import apart
from chat.web.page.panel.saved import SavedConversations
from prompts import Message

TALK = [Message("user", "Rain or snow?"), Message("assistant", "Rain.")]


def entries(*contents: str) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[index % 2], "content": [{"type": "text", "text": content}]}
        for index, content in enumerate(contents)
    ]


def file_of(*conversations: Any) -> dict[str, Any]:
    return {"format": "fourbit-chat", "version": 1, "conversations": list(conversations)}


def file(content: Any, name: str = "talk.json") -> tuple[str, str]:
    """Return a file as the browser sends it: its name, and its bytes in base 64."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return name, b64encode(data).decode()


def imported(saved: SavedConversations, content: Any, owner: str | None = None) -> Any:
    return saved.import_files(owner, [file(content)])["conversations"]


def sealed_as(
    saved: SavedConversations, owner: str | None, history: Any, system: str | None = None
) -> Any:
    """Seal a history that has no other versions."""
    return saved.seal(owner, {"messages": history}, system)


def opened(saved: SavedConversations, owner: str | None, text: str) -> list[Message]:
    return [entry.message for entry in saved.open(owner, text).messages]


def answer_here(module: str, *, given: bytes, seconds: float) -> bytes:
    """Read files in this process, since each of its own takes half a second."""
    assert module == apart.__name__
    return json.dumps(apart._read(*json.loads(given))).encode()
