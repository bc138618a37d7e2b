"""The words of JSON Schema, and what they say of a value."""

from collections.abc import Hashable, Iterator
from typing import Any, NoReturn

from chat.core.schema.letters import json_of

Path = tuple[str | int, ...]
#: Most parts that a schema may come to when it is put together, and levels that it may nest.
MOST_PARTS, MOST_LEVELS = 2_000, 60
#: Most letters and names that may be looked at for that: parts can refer to the same long one.
MOST_SIZE = 1_000_000
#: How what comes to more is refused.
TOO_LARGE = "is too large, or nested too deeply"
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
#: What says something of a value; the rest are notes to readers, but for what follows.
WORDS = {
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "nullable"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    *("properties", "required", "additionalProperties", "patternProperties"),
    *("minProperties", "maxProperties"),
}
#: What also says something, and what may be said of it as if it were not there.
NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("not", "if", "then", "else", "contains", "minContains", "maxContains"), ()),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), ({},)),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), (False, True)),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "x-guidance"), ()),
    "additionalItems": (False, True),
}
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


class Never(Exception):
    """No value can fit."""


def refuse(path: Path, why: str = "asks for what is not offered") -> NoReturn:
    """Raise ValueError for what stands at `path`."""
    where = ".".join(map(str, path))[:200]
    raise ValueError(f"{why}, at {where}" if where else f"{why}, as a whole")


def size_of(flat: dict[str, Any]) -> int:
    """Return about how long it takes to look at these words, but for the schemas in them."""
    return sum(
        len(json_of(value)) if name in ("enum", "const") else _length(value)
        for name, value in flat.items()
    )


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    found = value if isinstance(value, list | dict) else ()
    return sum(len(one) if isinstance(one, str) else 1 for one in found)


def same(value: Any) -> Hashable:
    """Return what is the same for values that are: 1 and 1.0 in JSON, but not 1 and true."""
    match value:
        case list():
            return list, tuple(map(same, value))
        case dict():
            return dict, frozenset((name, same(one)) for name, one in value.items())
        case bool():
            return bool, value
        case _:
            return value  # type: ignore[no-any-return]


def types_of(flat: dict[str, Any]) -> list[str]:
    """Return the types that a value may have."""
    types = flat.get("type", [*TYPES])
    return [types] if isinstance(types, str) else list(types)


def is_of(value: Any, types: list[str]) -> bool:
    """Whether `value` is of one of these types."""
    kinds: dict[str, Any] = {"string": str, "array": list, "object": dict, "boolean": bool}
    if value is None:
        return "null" in types
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or value.is_integer()
        return "number" in types or ("integer" in types and whole)
    return any(name in types and isinstance(value, kind) for name, kind in kinds.items())


def is_its_kind(name: str, value: Any) -> bool:
    """Whether `value` can be that of the word `name`."""
    if name == "type":
        types = [value] if isinstance(value, str) else value
        return isinstance(types, list) and bool(types) and all(one in TYPES for one in types)
    if name in ("enum", "anyOf", "oneOf", "allOf"):
        return isinstance(value, list) and bool(value)
    if name in ("properties", "patternProperties"):
        return isinstance(value, dict)
    if name == "required":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if name == "prefixItems":
        return isinstance(value, list)
    if name in ("pattern", "format", "$ref"):
        return isinstance(value, str)
    if name in ("nullable", "uniqueItems"):
        return isinstance(value, bool)
    if name in COUNTS:
        return is_of(value, ["integer"]) and 0 <= value < 2**31
    if name in LIMITS:
        return is_of(value, ["number"]) and abs(value) < 1e18
    return True


def shares(kind: str, types: list[str]) -> bool:
    """Whether a value of this kind can be of one of these types."""
    return kind in types or (kind == "integer" and "number" in types)


def children(node: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """Return the schemas in `node`, and where they are."""
    for word in ("anyOf", "oneOf", "prefixItems"):
        for number, one in enumerate(node.get(word, [])):
            yield (word, number), one
    for word in ("properties", "patternProperties"):
        for name, one in node.get(word, {}).items():
            yield (word, name), one
    for word in ("items", "additionalProperties"):
        if word in node:
            yield (word,), node[word]


def name_of(node: dict[str, Any]) -> str:
    """Return which definition `node` refers to, if it does."""
    return str(node.get("$ref", "")).removeprefix("#/$defs/")
