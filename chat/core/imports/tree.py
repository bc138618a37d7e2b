"""Conversations that are trees: each message knows what it answers, and some have two answers."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

Node = Mapping[str, Any]


def branch(nodes: Mapping[Any, Any], leaf: Any, parent: str) -> list[Node]:
    """Return the nodes from the root to `leaf`; `parent` is where each has the id of its parent."""
    found: list[Node] = []
    seen = set()
    while isinstance(leaf, str) and leaf not in seen and isinstance(nodes.get(leaf), Mapping):
        seen.add(leaf)
        found.append(nodes[leaf])
        leaf = nodes[leaf].get(parent)
    return found[::-1]


def current(messages: list[Any], id: str, parent: str) -> list[Any]:
    """Return the branch of the last message, if there is more than one."""
    nodes = {
        message[id]: message
        for message in messages
        if isinstance(message, Mapping) and isinstance(message.get(id), str)
    }
    parents = [node.get(parent) for node in nodes.values()]
    answers = Counter(one for one in parents if isinstance(one, str))
    if not nodes or max(answers.values(), default=0) < 2:
        return messages
    return list(branch(nodes, list(nodes)[-1], parent))


def last_children(roots: Any, children: str) -> list[Any]:
    """Return the branch that takes the last child each time."""
    found: list[Any] = []
    while isinstance(roots, list) and roots:
        found.append(roots[-1])
        roots = roots[-1].get(children) if isinstance(roots[-1], Mapping) else None
    return found
