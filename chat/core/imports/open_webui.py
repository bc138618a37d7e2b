"""Open WebUI's export: a list of these.

    {"title": "Rain", "updated_at": 1700000000, "chat": {
        "params": {"system": "Be brief."},
        "history": {"currentId": "b", "messages": {
            "a": {"id": "a", "parentId": null, "role": "user", "content": "A poem?"},
            "b": ...}},
        "messages": [...]}}

`history` holds all branches, `messages` the one that was on the screen.
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import branch


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of Open WebUI's."""
    chat = entry["chat"] if isinstance(entry.get("chat"), Mapping) else entry
    messages: list[Any] = []
    match chat.get("history"):
        case {"messages": Mapping() as nodes, **others}:
            messages = list(branch(nodes, others.get("currentId"), "parentId"))
        case _ if chat is entry:
            return None
    if not messages and isinstance(chat.get("messages"), list):
        messages = chat["messages"]
    params = chat.get("params")
    return Found(
        messages,
        entry.get("title") or chat.get("title"),
        entry.get("updated_at") or chat.get("timestamp"),
        params.get("system") if isinstance(params, Mapping) else None,
    )
