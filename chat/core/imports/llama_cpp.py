"""What the page of llama.cpp's server exports: one of these, or a list.

    {"conv": {"id": "c", "name": "Rain", "currNode": "b", "lastModified": 1700000000000},
     "messages": [
        {"id": "r", "type": "root", "role": "system", "content": "", "parent": null},
        {"id": "a", "role": "user", "content": "A poem?", "parent": "r"},
        {"id": "b", "role": "assistant", "content": ..., "parent": "a"}, ...]}

Of the tree the branch that was on the screen last is taken.
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import branch


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of llama.cpp's."""
    match entry:
        case {"conv": Mapping() as told, "messages": list(messages)}:
            nodes = {
                one["id"]: one
                for one in messages
                if isinstance(one, Mapping) and isinstance(one.get("id"), str)
            }
            leaf = told.get("currNode")
            if not isinstance(leaf, str) or leaf not in nodes:
                leaf = next(reversed(nodes), None)
            said = branch(nodes, leaf, "parent") or messages
            shown = [one for one in said if not _is_root(one)]
            return Found(shown, told.get("name"), told.get("lastModified"))
        case _:
            return None


def _is_root(message: Any) -> bool:
    return isinstance(message, Mapping) and message.get("type") == "root"
