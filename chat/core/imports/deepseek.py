"""DeepSeek's export, `conversations.json`: a list of these.

    {"title": "Rain", "updated_at": "2026-01-31T12:00:00Z", "mapping": {
        "root": {"id": "root", "parent": null, "children": ["1"], "message": null},
        "1": {"id": "1", "parent": "root", "children": ["2"], "message": {"fragments": [
            {"type": "REQUEST", "content": "A poem?"}]}},
        "2": {"id": "2", "parent": "1", "children": [], "message": {"fragments": [
            {"type": "THINK", "content": "What about water?"},
            {"type": "RESPONSE", "content": "Drops on the window."}]}}}}

Of the tree the branch that was written last is taken.
"""

from collections.abc import Mapping
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import branch

#: Whose a message is that has such a fragment.
ROLES = {"REQUEST": "user", "THINK": "assistant", "RESPONSE": "assistant"}


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of DeepSeek's."""
    nodes = entry.get("mapping")
    if not isinstance(nodes, Mapping) or not any(map(_fragments, nodes.values())):
        return None
    messages = [_message(node) for node in branch(nodes, list(nodes)[-1], "parent")]
    time = entry.get("updated_at") or entry.get("inserted_at")
    return Found([one for one in messages if one], entry.get("title"), time)


def _message(node: Any) -> dict[str, Any] | None:
    """Return a message as others write it, or None for what nobody wrote."""
    fragments = _fragments(node)
    role = next((ROLES[kind] for kind, _ in fragments if kind in ROLES), None)
    if role is None:
        return None
    thought = "\n\n".join(text for kind, text in fragments if kind == "THINK")
    said = "\n\n".join(text for kind, text in fragments if kind in ROLES and kind != "THINK")
    return {"role": role, "content": said, "reasoning_content": thought}


def _fragments(node: Any) -> list[tuple[str, str]]:
    match node:
        case {"message": {"fragments": list(fragments)}}:
            found = [one for one in fragments if isinstance(one, Mapping)]
            return [
                (kind, text)
                for kind, text in ((one.get("type"), one.get("content")) for one in found)
                if isinstance(kind, str) and isinstance(text, str)
            ]
        case _:
            return []
