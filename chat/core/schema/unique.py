"""Arrays that hold nothing twice, written out as the few that there can be."""

from itertools import permutations
from typing import Any

from chat.core.schema.words import Path, name_of, refuse, same, types_of

#: Of this many values there are 65 such arrays; of one more, 326.
MOST_VALUES = 4
OF_ARRAYS = ("items", "prefixItems", "minItems", "maxItems")


def unique(flat: dict[str, Any], defs: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a schema (whose items are read) for the same values, without `uniqueItems`.

    Raises:
        ValueError: its items can be more than `MOST_VALUES` values.
    """
    most = flat.get("maxItems", MOST_VALUES)
    rest = {name: value for name, value in flat.items() if name != "uniqueItems"}
    if most <= 1 or "array" not in types_of(flat):
        return rest
    values = _values(flat.get("items", True), defs)
    if not values or len(values) > MOST_VALUES or "prefixItems" in flat:
        refuse((*path, "uniqueItems"))
    lengths = range(flat.get("minItems", 0), min(most, len(values)) + 1)
    arrays = [_array(some) for length in lengths for some in permutations(values, length)]
    others = [kind for kind in types_of(flat) if kind != "array"]
    rest = {name: value for name, value in rest.items() if name not in OF_ARRAYS}
    return {"anyOf": [*arrays, *([{**rest, "type": others}] if others else [])]}


def _values(items: Any, defs: dict[str, Any]) -> list[Any]:
    """Return what an item can be, each value once, or nothing if that is not written there."""
    seen: set[str] = set()
    while isinstance(items, dict) and (name := name_of(items)) not in seen | {""}:
        seen.add(name)
        items = defs[name]
    if not isinstance(items, dict):
        return []
    found: list[Any] = []
    for value in [False, True] if items.get("type") == "boolean" else items.get("enum", []):
        if not any(same(value) == same(other) for other in found):
            found.append(value)
        if len(found) > MOST_VALUES:
            break
    return found


def _array(values: tuple[Any, ...]) -> dict[str, Any]:
    if not values:
        return {"type": "array", "maxItems": 0}
    items = [{"enum": [value]} for value in values]
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
