"""Claude's export, `conversations.json`: a list of these.

{"name": "Rain", "updated_at": "2026-01-31T12:00:00Z", "chat_messages": [
    {"uuid": "a", "parent_message_uuid": "0", "sender": "human", "text": "A poem?",
     "content": [{"type": "text", "text": "A poem?"}]},
    ...]}
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import current


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of Claude's."""
    messages = entry.get("chat_messages")
    if not isinstance(messages, list):
        return None
    messages = current(messages, "uuid", "parent_message_uuid")
    return Found(messages, entry.get("name"), entry.get("updated_at") or entry.get("created_at"))
