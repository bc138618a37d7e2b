"""LibreChat's export of a conversation as JSON.

    {"conversationId": "1", "title": "Rain", "options": {"promptPrefix": "Be brief."},
     "messages": [
        {"messageId": "a", "parentMessageId": "0", "sender": "User", "isCreatedByUser": true,
         "text": "A poem?", "createdAt": "2026-01-31T12:00:00Z"},
        ...]}

If it was exported with `recursive`, the answers to a message are its `children`.
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import current, last_children


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of LibreChat's."""
    messages = entry.get("messages")
    if not isinstance(messages, list) or not ("conversationId" in entry or _is_theirs(messages)):
        return None
    if any(isinstance(message, Mapping) and message.get("children") for message in messages):
        messages = last_children(messages, "children")
    else:
        messages = current(messages, "messageId", "parentMessageId")
    return Found(messages, entry.get("title"), _time(entry, messages), _system(entry))


def _is_theirs(messages: list[Any]) -> bool:
    return any(isinstance(one, Mapping) and "isCreatedByUser" in one for one in messages[:1])


def _time(entry: Mapping[str, Any], messages: list[Any]) -> Any:
    last = messages[-1] if messages and isinstance(messages[-1], Mapping) else {}
    return entry.get("updatedAt") or last.get("createdAt")


def _system(entry: Mapping[str, Any]) -> Any:
    options = entry.get("options")
    options = options if isinstance(options, Mapping) else {}
    return options.get("promptPrefix") or options.get("system") or entry.get("promptPrefix")
