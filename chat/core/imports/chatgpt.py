"""ChatGPT's export, `conversations.json`: a list of these.

    {"title": "Rain", "create_time": 1700000000.0, "current_node": "b", "mapping": {
        "a": {"parent": null, "children": ["b"], "message": {
            "author": {"role": "user"}, "recipient": "all", "weight": 1.0, "metadata": {},
            "content": {"content_type": "text", "parts": ["A poem?"]}}},
        "b": ...}}

Of the tree the branch that was on the screen last is taken, without what was hidden.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from chat.core.imports.found import Found
from chat.core.imports.tree import branch

#: What stands for a source, or around the name of something: a word, and what belongs to it.
CITED = re.compile("( ?)\ue200([^\ue200-\ue202]*+)\ue202?([^\ue200\ue201]*+)\ue201|[\ue203-\ue206]")


def read(entry: Mapping[str, Any]) -> Found | None:
    """Return the conversation in an entry, or None if it is none of ChatGPT's."""
    nodes = entry.get("mapping")
    if not isinstance(nodes, Mapping):
        return None
    leaf = entry.get("current_node")
    if not isinstance(leaf, str) or leaf not in nodes:
        leaf = _latest(nodes)
    messages = [node.get("message") for node in branch(nodes, leaf, "parent")]
    return Found(
        [_uncited(message) for message in messages if message and _is_shown(message)],
        entry.get("title"),
        entry.get("update_time") or entry.get("create_time"),
    )


def _uncited(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a message as it was on the screen: without its marks of sources, with names."""
    content = message.get("content")
    if not isinstance(content, Mapping) or not isinstance(content.get("parts"), list):
        return message
    parts = [
        CITED.sub(_named, part) if isinstance(part, str) else part for part in content["parts"]
    ]
    return {**message, "content": {**content, "parts": parts}}


def _named(mark: re.Match[str]) -> str:
    """Return the name in a mark of somebody or something, or nothing of one of a source."""
    with suppress(ValueError, LookupError, TypeError, RecursionError):
        if mark[2] == "entity":
            return mark[1] + str(json.loads(mark[3])[1])
    return ""


def _latest(nodes: Mapping[str, Any]) -> str | None:
    """Return the node that was written last among those that nobody answered."""
    leaves = [
        (_time(node.get("message")), place, id)
        for place, (id, node) in enumerate(nodes.items())
        if isinstance(node, Mapping) and not node.get("children")
    ]
    return max(leaves)[2] if leaves else None


def _time(message: Any) -> float:
    time = message.get("create_time") if isinstance(message, Mapping) else None
    return time if isinstance(time, int | float) and time == time else 0


def _is_shown(message: Any) -> bool:
    match message:
        case {"metadata": {"is_visually_hidden_from_conversation": True}} | {"weight": 0}:
            return False
        case {"content": {"content_type": "reasoning_recap"}}:
            return False  # how long the thought before it took
        case {"recipient": str(recipient)} if recipient != "all":
            return False  # the model calls a tool
        case {"author": {"role": "system"}, "content": {"parts": list(parts)}}:
            return any(parts)  # there is an empty one at the beginning
        case _:
            return isinstance(message, Mapping)
