"""Choices of which only one may fit, where that is plain to see."""

from collections.abc import Hashable
from itertools import combinations
from typing import Any

from chat.core.schema.words import (
    TOO_LARGE,
    children,
    is_of,
    name_of,
    same,
    shares,
    types_of,
)

#: How often two may be compared: more takes longer than all else that is done with a schema.
MOST_PAIRS = 100_000
#: To compare so many values, or to look for so many names, takes as long as anything else.
AT_ONCE = 16


class Choices:
    """Makes `oneOf` an `anyOf` where no value could fit two: llguidance does not see all of it."""

    def __init__(self, defs: dict[str, Any]) -> None:
        self._defs = defs
        self._pairs = 0
        #: What is in an `enum`, by the id of its list.
        self._values: dict[int, set[Hashable]] = {}

    def open(self, node: Any) -> None:
        """Do so in a schema.

        Raises:
            ValueError: there is too much to compare.
        """
        if isinstance(node, dict):
            for _, child in children(node):
                self.open(child)
            pairs = combinations(node.get("oneOf", []), 2)
            if "oneOf" in node and all(self._apart(one, other, 4) for one, other in pairs):
                node["anyOf"] = node.pop("oneOf")

    def _count(self, pairs: int) -> None:
        self._pairs += pairs
        if self._pairs > MOST_PAIRS:
            raise ValueError(TOO_LARGE)

    def _apart(self, one: Any, other: Any, levels: int) -> bool:
        """Whether it is plain to see that no value fits both."""
        self._count(1)
        if not levels or not (isinstance(one, dict) and isinstance(other, dict)):
            return False
        for mine, theirs in ((one, other), (other, one)):
            if name := name_of(mine):
                return self._apart(self._defs[name], theirs, levels - 1)
            if ways := mine.get("anyOf") or mine.get("oneOf"):
                return all(self._apart(way, theirs, levels - 1) for way in ways)
            if "enum" in mine:
                return self._none_of(mine["enum"], theirs)
        if not any(shares(kind, types_of(other)) for kind in types_of(one)):
            return not any(shares(kind, types_of(one)) for kind in types_of(other))
        if not types_of(one) == types_of(other) == ["object"]:
            return False
        both = {*one.get("required", [])} & {*other.get("required", [])}
        self._count(len(both) // AT_ONCE)
        return any(
            self._apart(one["properties"][name], other["properties"][name], levels - 1)
            for name in both
        )

    def _none_of(self, values: list[Any], other: dict[str, Any]) -> bool:
        """Whether it is plain to see that none of these values fits the other one."""
        if "enum" in other:
            mine, theirs = self._same(values), self._same(other["enum"])
            self._count(min(len(mine), len(theirs)) // AT_ONCE)
            return mine.isdisjoint(theirs)
        types = types_of(other)
        self._count(len(values) // AT_ONCE)
        return not any(is_of(value, types) for value in values)

    def _same(self, values: list[Any]) -> set[Hashable]:
        if id(values) not in self._values:
            self._values[id(values)] = set(map(same, values))
        return self._values[id(values)]
