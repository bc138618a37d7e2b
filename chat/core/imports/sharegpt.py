"""ShareGPT's format, in which many collections of conversations come: a list of these.

{"id": "1", "conversations": [
    {"from": "human", "value": "A poem?"},
    {"from": "gpt", "value": "Drops on the window."}]}
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.message import is_message


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of ShareGPT's."""
    for key in ("conversations", "conversation", "items"):
        messages = entry.get(key)
        if isinstance(messages, list) and messages and is_message(messages[0]):
            system = entry.get("system") or entry.get("system_prompt")
            return Found(messages, entry.get("title"), system=system)
    return None
