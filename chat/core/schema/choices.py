"""Choices of which only one may fit, where that is plain to see."""

from itertools import combinations
from typing import Any

from chat.core.schema.words import children, is_of, name_of, shares, types_of


def open_choices(node: Any, defs: dict[str, Any]) -> None:
    """Make `oneOf` an `anyOf` where no value could fit two: llguidance does not see all of it."""
    if isinstance(node, dict):
        for _, child in children(node):
            open_choices(child, defs)
        pairs = combinations(node.get("oneOf", []), 2)
        if "oneOf" in node and all(_apart(one, other, defs, 4) for one, other in pairs):
            node["anyOf"] = node.pop("oneOf")


def _apart(one: Any, other: Any, defs: dict[str, Any], levels: int) -> bool:
    """Whether it is plain to see that no value fits both."""
    if not levels or not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    for mine, theirs in ((one, other), (other, one)):
        if name := name_of(mine):
            return _apart(defs[name], theirs, defs, levels - 1)
        if ways := mine.get("anyOf") or mine.get("oneOf"):
            return all(_apart(way, theirs, defs, levels - 1) for way in ways)
        if "enum" in mine:
            values = theirs.get("enum")
            if values is None:
                return not any(is_of(value, types_of(theirs)) for value in mine["enum"])
            return not any(value in values for value in mine["enum"])
    if not any(shares(kind, types_of(other)) for kind in types_of(one)):
        return not any(shares(kind, types_of(one)) for kind in types_of(other))
    if not types_of(one) == types_of(other) == ["object"]:
        return False
    return any(
        _apart(one["properties"][name], other["properties"][name], defs, levels - 1)
        for name in {*one.get("required", [])} & {*other.get("required", [])}
    )
