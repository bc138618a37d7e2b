"""A schema put together: only the whole says which properties an object has."""

from typing import Any
from urllib.parse import unquote

from chat.core.constraints import plain, searched
from chat.core.schema.choices import Choices
from chat.core.schema.ends import check_ends
from chat.core.schema.formats import FORMATS
from chat.core.schema.together import both
from chat.core.schema.unique import unique
from chat.core.schema.words import (
    COUNTS,
    MOST_LEVELS,
    MOST_PARTS,
    MOST_SIZE,
    NOT_OFFERED,
    TOO_LARGE,
    WORDS,
    Never,
    Path,
    is_its_kind,
    is_of,
    refuse,
    size_of,
    types_of,
)

#: The longest pattern, in characters: as long as the control `regex` takes one.
LONGEST_PATTERN = 2_000
#: No text of a format is as long.
LONG = 2_000

#: What pydantic has written for a `Decimal`, and the same without looking ahead for a digit.
WITHOUT_LOOKING = {
    r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$": r"^[+-]?(\d+\.?\d*|\.\d+)$",
}


class Reader:
    """Puts a schema together."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._defs: dict[str, Any] = {}
        self._names: dict[str, str] = {}
        self._parts = self._size = 0

    def whole(self) -> dict[str, Any]:
        """Return the schema, with what it refers to in `$defs`.

        Raises:
            ValueError: it is none, can never be fulfilled, or asks for what is not offered.
        """
        try:
            read = self._read(self._root, ())
        except Never:
            refuse((), "can never be fulfilled")
        read = {} if read is True else read
        choices = Choices(self._defs)
        for node in (read, *self._defs.values()):
            choices.open(node)
        check_ends(read, self._defs)
        return {**read, "$defs": self._defs} if self._defs else read

    def _count(self, parts: int, size: int) -> None:
        """Count what the schema comes to, before more is made of it."""
        self._parts += parts
        self._size += size
        if self._parts > MOST_PARTS or self._size > MOST_SIZE:
            raise ValueError(TOO_LARGE)

    def _read(self, schema: Any, path: Path) -> Any:
        """Return a schema in which no words hold together that name different things."""
        if schema is False:
            raise Never
        if schema is True or schema == {}:
            return True
        if isinstance(schema, dict) and schema.keys() & WORDS == {"$ref"}:
            return self._reference(self._checked(schema, path)["$ref"], path)
        flat = self._flat(schema, path, frozenset())
        for word in ("oneOf", "anyOf"):
            if word in flat:
                return self._alternatives(word, flat, path)
        return (flat and self._single(flat, path)) or True

    def _alternatives(self, word: str, flat: dict[str, Any], path: Path) -> Any:
        rest = {name: value for name, value in flat.items() if name != word}
        kept = []
        for number, one in enumerate(flat[word]):
            try:
                both = {"allOf": [rest, one]} if rest else one
                kept.append(self._read(both, (*path, word, number)))
            except Never:
                continue
        if not kept:
            raise Never
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
            except Never:
                refuse(where, "can never be fulfilled")
            self._defs[name] = {} if read is True else read
        return {"$ref": f"#/$defs/{self._names[pointer]}"}

    def _resolve(self, pointer: str, path: Path) -> tuple[Any, Path]:
        target: Any = self._root
        steps: list[str | int] = []
        if not pointer.startswith("#"):
            refuse((*path, "$ref"))
        for step in unquote(pointer[1:]).split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            try:
                target = target[int(step) if isinstance(target, list) else step]
            except (LookupError, ValueError, TypeError):
                refuse((*path, "$ref"), "names what is not there")
            steps.append(step)
        if pointer != "#" and not steps:
            refuse((*path, "$ref"), "names what is not there")
        return target, tuple(steps)

    def _flat(self, schema: Any, path: Path, through: frozenset[str]) -> dict[str, Any]:
        """Return the words of a schema, of those that it refers to, and of its `allOf`."""
        if schema is False:
            raise Never
        if schema is True:
            return {}
        flat = self._checked(schema, path)
        parts = [(one, (*path, "allOf", at)) for at, one in enumerate(flat.pop("allOf", []))]
        if pointer := flat.pop("$ref", None):
            if pointer in through:
                refuse((*path, "$ref"), "refers to itself alone")
            target, _ = self._resolve(pointer, path)
            merged = self._flat(target, path, through | {pointer})
            flat = self._both(flat, merged, path)
        for part, where in parts:
            flat = self._both(flat, self._flat(part, where, through), path)
        return flat

    def _both(self, one: dict[str, Any], other: dict[str, Any], path: Path) -> dict[str, Any]:
        self._count(0, size_of(one) + size_of(other))
        return both(one, other, path)

    def _checked(self, schema: Any, path: Path) -> dict[str, Any]:
        """Return the words of a schema that say something, each of the kind that it must be."""
        self._count(1, 0)
        if len(path) > 2 * MOST_LEVELS:
            raise ValueError(TOO_LARGE)
        if not isinstance(schema, dict):
            refuse(path, "must be a schema")
        for name, allowed in NOT_OFFERED.items():
            if name in schema and schema[name] not in allowed:
                refuse((*path, name))
        flat = {name: value for name, value in schema.items() if name in WORDS}
        for name, value in flat.items():
            if not is_its_kind(name, value):
                refuse((*path, name), "is not as JSON Schema has it")
        self._count(0, size_of(flat))
        flat |= {name: int(flat[name]) for name in COUNTS if name in flat}  # 2.0 is 2 there
        if isinstance(flat.get("type"), list):
            flat["type"] = list(dict.fromkeys(flat["type"]))
        if "propertyNames" in schema:
            flat |= self._named(schema["propertyNames"], flat, (*path, "propertyNames"))
        if "const" in flat:
            const = flat.pop("const")
            flat = self._both(flat, {"enum": [const]}, path)
        if flat.pop("nullable", False) and "type" in flat:
            flat["type"] = [*types_of(flat), "null"]
        return flat

    def _named(self, names: Any, flat: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the words for an object whose properties have such names."""
        words = self._flat(names, path, frozenset())
        kinds = words.keys() - {"type"}
        if not kinds and "string" in types_of(words):
            return {}
        more = flat.get("additionalProperties", True)
        # Those that are there already would have to be looked at one by one.
        there = flat.get("properties") or flat.get("patternProperties")
        if there or "string" not in types_of(words) or kinds not in ({"enum"}, {"pattern"}):
            refuse(path)
        if kinds == {"enum"}:
            found = {name: more for name in words["enum"] if isinstance(name, str)}
            return {"properties": found, "additionalProperties": False}
        return {"patternProperties": {words["pattern"]: more}, "additionalProperties": False}

    def _single(self, flat: dict[str, Any], path: Path) -> dict[str, Any]:
        """Return the schema with what is in it read too."""
        if "enum" in flat:
            flat.pop("format", None)
            for name in flat.keys() - {"enum", "type"}:
                refuse((*path, name), "cannot be said beside enum or const")
            kept = [one for one in flat["enum"] if is_of(one, types_of(flat))]
            if not kept:
                raise Never
            return {"enum": kept}
        if flat.get("multipleOf") == 1 and "number" not in types_of(flat):
            del flat["multipleOf"]
        if "multipleOf" in flat:
            refuse((*path, "multipleOf"))
        self._settle(flat, path)
        if "items" in flat:
            flat["items"] = self._inner(flat["items"], (*path, "items"))
        if "prefixItems" in flat:
            flat["prefixItems"] = [
                self._read(one, (*path, "prefixItems", at))
                for at, one in enumerate(flat["prefixItems"])
            ]
        told = {"properties", "patternProperties"} & flat.keys() or "object" in flat.get("type", ())
        # Of any value, which has to be so if it is an object.
        untold = "type" not in flat and {"required", "additionalProperties"} & flat.keys()
        if told or untold:
            self._close(flat, path)
        if flat.get("uniqueItems"):
            flat = unique(flat, self._defs, path)
            for array in flat.get("anyOf", []):
                self._count(1, sum(map(size_of, array.get("prefixItems", []))))
        return flat

    def _settle(self, flat: dict[str, Any], path: Path) -> None:
        """Read what a text has to look like.

        A format is a note (JSON Schema 2020-12, 7.2): it is kept where it can be, and left out
        beside a pattern, as which zod writes it once more. Lengths that say no more than the format
        does, as pydantic's of addresses, are left out too.
        """
        if flat.get("format") not in [*FORMATS] or "string" not in types_of(flat):
            flat.pop("format", None)
        formed = "format" in flat
        if "pattern" in flat:
            try:
                flat["pattern"] = _pattern(flat["pattern"], (*path, "pattern"))
                flat.pop("format", None)
            except ValueError:
                if not formed:
                    raise
                del flat["pattern"]
        if formed and flat.get("minLength", 0) <= 1:
            flat.pop("minLength", None)
        if formed and flat.get("maxLength", 0) >= LONG:
            flat.pop("maxLength", None)

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
            except Never:
                if name in required:
                    raise
        for name in required:
            if name not in properties and more is False:
                refuse((*path, "required"), "names a property that is not there")
            properties.setdefault(name, more)
        flat["properties"] = properties

    def _inner(self, schema: Any, path: Path) -> Any:
        """Read a schema that says what else there may be, or False."""
        try:
            return self._read(schema, path)
        except Never:
            return False


def _pattern(pattern: str, path: Path) -> str:
    if len(pattern) > LONGEST_PATTERN:
        refuse(path, "is too long")
    try:
        return f"^({plain(searched(WITHOUT_LOOKING.get(pattern, pattern)))})$"
    except ValueError:
        refuse(path)
