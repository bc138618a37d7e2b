"""Two schemas that have to hold together, as one."""

from itertools import product
from typing import Any

from chat.core.schema.words import (
    MOST_PARTS,
    TOO_LARGE,
    Never,
    Path,
    refuse,
    same,
    shares,
    types_of,
)

#: Words of which the larger or the smaller holds where two schemas hold together.
LARGER = (
    *("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties"),
    "uniqueItems",
)
SMALLER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")


def both(one: dict[str, Any], other: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the words for what fits both."""
    both = {**other, **one}
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        if a == b and name != "enum":  # where 1 is not true
            continue
        match name:
            case "type":
                types = [kind for kind in types_of(one) if shares(kind, types_of(other))]
                types += [kind for kind in types_of(other) if shares(kind, types_of(one))]
                if not types:
                    raise Never
                both[name] = list(dict.fromkeys(types))
            case "enum":
                there = set(map(same, b))
                both[name] = [value for value in a if same(value) in there]
            case "required":
                both[name] = list(dict.fromkeys([*a, *b]))
            case "properties":
                both[name] = {**a, **b}
                for common in a.keys() & b.keys():
                    both[name][common] = {"allOf": [a[common], b[common]]}
            case "anyOf" | "oneOf":
                if len(a) * len(b) > MOST_PARTS:
                    raise ValueError(TOO_LARGE)
                both[name] = [{"allOf": [*pair]} for pair in product(a, b)]
            case "items" | "additionalProperties":
                both[name] = {"allOf": [a, b]}
            case _ if name in LARGER:
                both[name] = max(a, b)
            case _ if name in SMALLER:
                both[name] = min(a, b)
            case _:
                refuse((*path, name), "says two things at once")
    # What only one of them names is to the other one more property.
    for mine, theirs in ((one, other), (other, one)):
        if (more := mine.get("additionalProperties", True)) is not True:
            named, there = mine.get("properties", {}), theirs.get("properties", {})
            if further := {
                name: {"allOf": [one, more]} for name, one in there.items() if name not in named
            }:
                both["properties"] = {**both["properties"], **further}
    return both
