"""Whether values of a schema come to an end."""

from graphlib import CycleError, TopologicalSorter
from typing import Any

from chat.core.schema.words import name_of, types_of


def check_ends(root: dict[str, Any], defs: dict[str, Any]) -> None:
    """Refuse what refers to itself without anything between, and what never comes to an end."""

    def next_to(node: Any) -> set[str]:
        """The definitions that a value may be without a bracket before it."""
        if not isinstance(node, dict):
            return set()
        inner = [one for word in ("anyOf", "oneOf") for one in node.get(word, [])]
        return {name_of(node)} - {""} | {name for one in inner for name in next_to(one)}

    try:
        TopologicalSorter({name: next_to(node) for name, node in defs.items()}).prepare()
    except CycleError:
        raise ValueError("refers to itself alone") from None

    ends: set[str] = set()

    def can_end(node: Any) -> bool:
        if not isinstance(node, dict):
            return node is not False
        if name := name_of(node):
            return name in ends
        if alternatives := node.get("anyOf") or node.get("oneOf"):
            return any(map(can_end, alternatives))
        if set(types_of(node)) - {"array", "object"} or "enum" in node:
            return True
        array = "array" in types_of(node) and all(map(can_end, _needed_items(node)))
        return array or (
            "object" in types_of(node)
            and all(can_end(node["properties"][name]) for name in node.get("required", []))
            and (not node.get("minProperties") or _more_can_end(node))
        )

    def _more_can_end(node: dict[str, Any]) -> bool:
        inner = [*node.get("properties", {}).values(), *node.get("patternProperties", {}).values()]
        return any(map(can_end, [*inner, node.get("additionalProperties", True)]))

    while new := [name for name, node in defs.items() if name not in ends and can_end(node)]:
        ends.update(new)
    if not can_end(root) or len(ends) < len(defs):
        raise ValueError("never comes to an end")


def _needed_items(node: dict[str, Any]) -> list[Any]:
    first = node.get("prefixItems", [])
    least = node.get("minItems", 0)
    return [*first[:least], *([node.get("items", True)] if least > len(first) else [])]
