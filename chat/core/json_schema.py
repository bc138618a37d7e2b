"""JSON schemas (json-schema.org, 2020-12) as they are asked for, in a form that engines take.

What composes (`allOf`, `$ref` beside other words) is put together here, since only the
whole says which properties an object has. Two grammar libraries follow: llguidance reads
the schema as it is returned, and says what it does not offer; for xgrammar it is
written out (see `json_grammar`). What either of them cannot is refused by its path.
"""

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product
from typing import Any, NamedTuple, NoReturn
from urllib.parse import unquote

from chat.core.constraints import plain, searched
from chat.core.json_grammar import FORMATS, NotWritten, written

Path = tuple[str | int, ...]

#: Most parts that a schema may come to when it is put together, and levels that it may nest.
MOST_PARTS, MOST_LEVELS = 2_000, 60
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
#: What says something of a value; the rest are notes to readers, but for what follows.
WORDS = {
    *("type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "nullable"),
    *("minLength", "maxLength", "pattern", "format"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("items", "prefixItems", "minItems", "maxItems"),
    *("properties", "required", "additionalProperties", "patternProperties"),
    *("minProperties", "maxProperties"),
}
#: What also says something, and what may be said of it as if it were not there.
NOT_OFFERED: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("not", "if", "then", "else", "contains", "minContains", "maxContains"), ()),
    **dict.fromkeys(("dependentRequired", "dependentSchemas", "dependencies"), ({},)),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), (False, True)),
    **dict.fromkeys(("$dynamicRef", "$recursiveRef", "x-guidance"), ()),
    **{"uniqueItems": (False,), "additionalItems": (False, True)},
}
#: Words of which the larger or the smaller holds where two schemas hold together.
LARGER = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
SMALLER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
#: llguidance's options: at most one space where JSON may have white space, of which a
#: small model may never stop writing more.
SPACES = {"whitespace_flexible": True, "whitespace_pattern": " ?"}


class Fitting(NamedTuple):
    """What ties a reply down to a schema, for each grammar library."""

    #: A JSON schema, for llguidance with `SPACES`.
    schema: str
    #: EBNF, for xgrammar.
    grammar: str


class _Never(Exception):
    """No value can fit."""


@lru_cache(maxsize=32)
def fitting(schema: str) -> Fitting:
    """Read a JSON schema.

    An object leaves no room for properties that it does not name unless it asks for
    them, unlike in JSON Schema, where a small model would invent one after the other.

    Raises:
        ValueError: it is no JSON schema, or asks for what is not offered.
    """
    try:
        root = json.loads(schema)
        schema.encode()
        json.dumps(root, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        root = None
    if not isinstance(root, dict):
        raise ValueError("must be a JSON object")
    read = _Reader(root).whole()
    _judged(read, read.get("$defs", {}), ())
    try:
        return Fitting(json.dumps(read, ensure_ascii=False), written(read))
    except NotWritten as error:
        _refuse(error.path)


def _refuse(path: Path, why: str = "asks for what is not offered") -> NoReturn:
    where = ".".join(map(str, path))[:200]
    raise ValueError(f"{why}, at {where}" if where else f"{why}, as a whole")


class _Reader:
    """Puts a schema together."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._defs: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._parts = 0

    def whole(self) -> dict[str, Any]:
        try:
            read = self._read(self._root, ())
        except _Never:
            _refuse((), "can never be fulfilled")
        read = {} if read is True else read
        for node in (read, *self._defs.values()):
            _open_choices(node, self._defs)
        _check_ends(read, self._defs)
        return {**read, "$defs": self._defs} if self._defs else read

    def _read(self, schema: Any, path: Path) -> Any:
        """Return a schema in which no words hold together that name different things."""
        if schema is False:
            raise _Never
        if schema is True or schema == {}:
            return True
        if isinstance(schema, dict) and schema.keys() & WORDS == {"$ref"}:
            return self._reference(self._checked(schema, path)["$ref"], path)
        flat = self._flat(schema, path, frozenset())
        for word in ("oneOf", "anyOf"):
            if word in flat:
                return self._alternatives(word, flat, path)
        return self._single(flat, path) if flat else True

    def _alternatives(self, word: str, flat: dict[str, Any], path: Path) -> Any:
        rest = {name: value for name, value in flat.items() if name != word}
        kept = []
        for number, one in enumerate(flat[word]):
            try:
                both = {"allOf": [rest, one]} if rest else one
                kept.append(self._read(both, (*path, word, number)))
            except _Never:
                continue
        if not kept:
            raise _Never
        if True in kept:
            return True
        return kept[0] if len(kept) == 1 else {word: kept}

    def _reference(self, pointer: str, path: Path) -> Any:
        if pointer not in self._names:
            target, where = self._resolve(pointer, path)
            name = self._names[pointer] = f"{len(self._names)}"
            self._defs[name] = {}
            try:
                read = self._read(target, where)
            except _Never:
                _refuse(where, "can never be fulfilled")
            self._defs[name] = {} if read is True else read
        return {"$ref": f"#/$defs/{self._names[pointer]}"}

    def _resolve(self, pointer: str, path: Path) -> tuple[Any, Path]:
        target: Any = self._root
        steps: list[str | int] = []
        if not pointer.startswith("#"):
            _refuse((*path, "$ref"))
        for step in unquote(pointer[1:]).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(step) if isinstance(target, list) else step]
            except (LookupError, ValueError, TypeError):
                _refuse((*path, "$ref"), "names what is not there")
            steps.append(step)
        if pointer != "#" and not steps:
            _refuse((*path, "$ref"), "names what is not there")
        return target, tuple(steps)

    def _flat(self, schema: Any, path: Path, through: frozenset[str]) -> dict[str, Any]:
        """Return the words of a schema, of those that it refers to, and of its `allOf`."""
        if schema is False:
            raise _Never
        if schema is True:
            return {}
        flat = self._checked(schema, path)
        parts = [(one, (*path, "allOf", at)) for at, one in enumerate(flat.pop("allOf", []))]
        if pointer := flat.pop("$ref", None):
            if pointer in through:
                _refuse((*path, "$ref"), "refers to itself alone")
            target, _ = self._resolve(pointer, path)
            merged = self._flat(target, path, through | {pointer})
            flat = _both(flat, merged, path)
        for part, where in parts:
            flat = _both(flat, self._flat(part, where, through), path)
        return flat

    def _checked(self, schema: Any, path: Path) -> dict[str, Any]:
        """Return the words of a schema that say something, each of the kind that it must be."""
        self._parts += 1
        if self._parts > MOST_PARTS or len(path) > 2 * MOST_LEVELS:
            raise ValueError("is too large, or nested too deeply")
        if not isinstance(schema, dict):
            _refuse(path, "must be a schema")
        for name, allowed in NOT_OFFERED.items():
            if name in schema and schema[name] not in allowed:
                _refuse((*path, name))
        flat = {name: value for name, value in schema.items() if name in WORDS}
        for name, value in flat.items():
            if not _is_its_kind(name, value):
                _refuse((*path, name), "is not as JSON Schema has it")
        if "propertyNames" in schema:
            flat |= self._named(schema["propertyNames"], flat, (*path, "propertyNames"))
        if "const" in flat:
            const = flat.pop("const")
            flat = _both(flat, {"enum": [const]}, path)
        if flat.pop("nullable", False) and "type" in flat:
            flat["type"] = [*_types(flat), "null"]
        return flat

    def _named(self, names: Any, flat: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the words for an object whose properties have such names."""
        words = self._flat(names, path, frozenset())
        kinds = words.keys() - {"type"}
        if not kinds and "string" in _types(words):
            return {}
        more = flat.get("additionalProperties", True)
        # Those that are there already would have to be looked at one by one.
        there = flat.get("properties") or flat.get("patternProperties")
        if there or "string" not in _types(words) or kinds not in ({"enum"}, {"pattern"}):
            _refuse(path)
        if kinds == {"enum"}:
            found = {name: more for name in words["enum"] if isinstance(name, str)}
            return {"properties": found, "additionalProperties": False}
        return {"patternProperties": {words["pattern"]: more}, "additionalProperties": False}

    def _single(self, flat: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the schema with what is in it read too."""
        if "enum" in flat:
            for name in flat.keys() - {"enum", "type"}:
                _refuse((*path, name), "cannot be said beside enum or const")
            kept = [one for one in flat["enum"] if _is_of(one, _types(flat))]
            if not kept:
                raise _Never
            return {"enum": kept}
        if flat.get("multipleOf") == 1 and "number" not in _types(flat):
            del flat["multipleOf"]
        if "multipleOf" in flat:
            _refuse((*path, "multipleOf"))
        if flat.get("format") not in (None, *FORMATS):
            _refuse((*path, "format"))
        if "pattern" in flat:
            flat["pattern"] = _pattern(flat["pattern"], (*path, "pattern"))
        if "items" in flat:
            flat["items"] = self._inner(flat["items"], (*path, "items"))
        if "prefixItems" in flat:
            flat["prefixItems"] = [
                self._read(one, (*path, "prefixItems", at))
                for at, one in enumerate(flat["prefixItems"])
            ]
        if {"properties", "patternProperties"} & flat.keys() or "object" in flat.get("type", ()):
            self._close(flat, path)
        return flat

    def _close(self, flat: dict[str, Any], path: Path) -> None:
        more = self._inner(flat.get("additionalProperties", False), (*path, "additionalProperties"))
        flat["additionalProperties"] = more
        required = flat.get("required", [])
        if patterns := flat.get("patternProperties"):
            flat["patternProperties"] = {
                _pattern(name, (*path, "patternProperties", name)): self._read(
                    one, (*path, "patternProperties", name)
                )
                for name, one in patterns.items()
            }
        properties = {}
        for name, one in flat.get("properties", {}).items():
            try:
                properties[name] = self._read(one, (*path, "properties", name))
            except _Never:
                if name in required:
                    raise
        for name in required:
            if name not in properties and more is False:
                _refuse((*path, "required"), "names a property that is not there")
            properties.setdefault(name, more)
        flat["properties"] = properties

    def _inner(self, schema: Any, path: Path) -> Any:
        """Read a schema that says what else there may be, or False."""
        try:
            return self._read(schema, path)
        except _Never:
            return False


def _types(flat: dict[str, Any]) -> list[str]:
    types = flat.get("type", [*TYPES])
    return [types] if isinstance(types, str) else list(types)


def _is_of(value: Any, types: list[str]) -> bool:
    kinds: dict[str, Any] = {"string": str, "array": list, "object": dict, "boolean": bool}
    if value is None:
        return "null" in types
    if isinstance(value, int | float) and not isinstance(value, bool):
        whole = isinstance(value, int) or value.is_integer()
        return "number" in types or ("integer" in types and whole)
    return any(name in types and isinstance(value, kind) for name, kind in kinds.items())


def _is_its_kind(name: str, value: Any) -> bool:
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
    if name == "nullable":
        return isinstance(value, bool)
    if name in COUNTS:
        return _is_of(value, ["integer"]) and 0 <= value < 2**31
    if name in LIMITS:
        return _is_of(value, ["number"]) and abs(value) < 1e18
    return True


def _pattern(pattern: str, path: Path) -> str:
    try:
        return f"^({plain(searched(pattern))})$"
    except ValueError:
        _refuse(path)


def _both(one: dict[str, Any], other: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return the words for what fits both."""
    both = {**other, **one}
    for name in one.keys() & other.keys():
        a, b = one[name], other[name]
        if a == b:
            continue
        match name:
            case "type":
                types = [kind for kind in _types(one) if _shares(kind, _types(other))]
                types += [kind for kind in _types(other) if _shares(kind, _types(one))]
                if not types:
                    raise _Never
                both[name] = list(dict.fromkeys(types))
            case "enum":
                both[name] = [value for value in a if value in b]
            case "required":
                both[name] = list(dict.fromkeys([*a, *b]))
            case "properties":
                both[name] = {**a, **b}
                for common in a.keys() & b.keys():
                    both[name][common] = {"allOf": [a[common], b[common]]}
            case "anyOf" | "oneOf":
                both[name] = [{"allOf": [*pair]} for pair in product(a, b)]
                if len(both[name]) > MOST_PARTS:
                    raise ValueError("is too large, or nested too deeply")
            case "items" | "additionalProperties":
                both[name] = {"allOf": [a, b]}
            case _ if name in LARGER:
                both[name] = max(a, b)
            case _ if name in SMALLER:
                both[name] = min(a, b)
            case _:
                _refuse((*path, name), "says two things at once")
    # What only one of them names is to the other one more property.
    for mine, theirs in ((one, other), (other, one)):
        if (more := mine.get("additionalProperties", True)) is not True:
            for name in theirs.get("properties", {}).keys() - mine.get("properties", {}).keys():
                both["properties"] = {
                    **both["properties"],
                    name: {"allOf": [theirs["properties"][name], more]},
                }
    return both


def _shares(kind: str, types: list[str]) -> bool:
    return kind in types or (kind == "integer" and "number" in types)


def _children(node: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for word in ("anyOf", "oneOf", "prefixItems"):
        for number, one in enumerate(node.get(word, [])):
            yield (word, number), one
    for word in ("properties", "patternProperties"):
        for name, one in node.get(word, {}).items():
            yield (word, name), one
    for word in ("items", "additionalProperties"):
        if word in node:
            yield (word,), node[word]


def _open_choices(node: Any, defs: dict[str, Any]) -> None:
    """Make `oneOf` an `anyOf` where no value could fit two: llguidance does not see all of it."""
    if isinstance(node, dict):
        for _, child in _children(node):
            _open_choices(child, defs)
        pairs = combinations(node.get("oneOf", []), 2)
        if "oneOf" in node and all(_apart(one, other, defs, 4) for one, other in pairs):
            node["anyOf"] = node.pop("oneOf")


def _apart(one: Any, other: Any, defs: dict[str, Any], levels: int) -> bool:
    """Whether it is plain to see that no value fits both."""
    if not levels or not (isinstance(one, dict) and isinstance(other, dict)):
        return False
    for mine, theirs in ((one, other), (other, one)):
        if name := _name(mine):
            return _apart(defs[name], theirs, defs, levels - 1)
        if ways := mine.get("anyOf") or mine.get("oneOf"):
            return all(_apart(way, theirs, defs, levels - 1) for way in ways)
        if "enum" in mine:
            values = theirs.get("enum")
            if values is None:
                return not any(_is_of(value, _types(theirs)) for value in mine["enum"])
            return not any(value in values for value in mine["enum"])
    if not any(_shares(kind, _types(other)) for kind in _types(one)):
        return not any(_shares(kind, _types(one)) for kind in _types(other))
    if not _types(one) == _types(other) == ["object"]:
        return False
    return any(
        _apart(one["properties"][name], other["properties"][name], defs, levels - 1)
        for name in {*one.get("required", [])} & {*other.get("required", [])}
    )


def _check_ends(root: dict[str, Any], defs: dict[str, Any]) -> None:
    """Refuse what refers to itself without anything between, and what never comes to an end."""

    def next_to(node: Any) -> set[str]:
        """The definitions that a value may be without a bracket before it."""
        if not isinstance(node, dict):
            return set()
        inner = [one for word in ("anyOf", "oneOf") for one in node.get(word, [])]
        return {_name(node)} - {""} | {name for one in inner for name in next_to(one)}

    reach = {name: next_to(node) for name, node in defs.items()}
    for _ in defs:
        reach = {name: found.union(*(reach[one] for one in found)) for name, found in reach.items()}
    if any(name in found for name, found in reach.items()):
        raise ValueError("refers to itself alone")

    ends: set[str] = set()

    def can_end(node: Any) -> bool:
        if not isinstance(node, dict):
            return node is not False
        if name := _name(node):
            return name in ends
        if alternatives := node.get("anyOf") or node.get("oneOf"):
            return any(map(can_end, alternatives))
        if set(_types(node)) - {"array", "object"} or "enum" in node:
            return True
        array = "array" in _types(node) and all(map(can_end, _needed_items(node)))
        return array or (
            "object" in _types(node)
            and all(can_end(node["properties"][name]) for name in node.get("required", []))
            and (not node.get("minProperties") or _more_can_end(node))
        )

    def _more_can_end(node: dict[str, Any]) -> bool:
        inner = [*node.get("properties", {}).values(), *node.get("patternProperties", {}).values()]
        return any(map(can_end, [*inner, node.get("additionalProperties", True)]))

    for _ in range(len(defs) + 1):
        ends |= {name for name, node in defs.items() if can_end(node)}
    if not can_end(root) or len(ends) < len(defs):
        raise ValueError("never comes to an end")


def _needed_items(node: dict[str, Any]) -> list[Any]:
    first = node.get("prefixItems", [])
    least = node.get("minItems", 0)
    return [*first[:least], *([node.get("items", True)] if least > len(first) else [])]


def _name(node: dict[str, Any]) -> str:
    return str(node.get("$ref", "")).removeprefix("#/$defs/")


def _judged(node: Any, defs: dict[str, Any], path: Path) -> None:
    """Have llguidance judge a schema, and find the place if it says no."""
    from llguidance import LLMatcher  # not above, since few need it and it takes a moment

    if not isinstance(node, dict):
        return
    alone = json.dumps({**node, "$defs": defs}, ensure_ascii=False)
    grammar = LLMatcher.grammar_from_json_schema(alone, overrides=SPACES)  # type: ignore[arg-type]
    if not (fault := LLMatcher.validate_grammar(grammar)):
        return
    for steps, child in _children(node):
        _judged(child, defs, (*path, *steps))
    for name, child in node.get("$defs", {}).items():
        _judged(child, defs, ("$defs", name))
    never = fault.startswith("Unsatisfiable")
    _refuse(path, "can never be fulfilled" if never else "asks for what is not offered")
