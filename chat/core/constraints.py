"""What ties a reply down, in the part of each language that every engine takes.

A pattern that an engine cannot compile would only be noticed while it works for
others, so patterns are read here, and written again in the plainest words.
"""

import json
from re import _constants as node  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from re import error as PatternError
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

#: Most characters that a pattern may come to when its repetitions are written out. The
#: others wait while an engine compiles it: a second with `"a?" * 300`, a minute at 2,000.
MOST_REPEATED = 300

CATEGORIES = {
    node.CATEGORY_DIGIT: "0-9",
    node.CATEGORY_WORD: "a-zA-Z0-9_",
    node.CATEGORY_SPACE: " \\t\\n\\r",
}
OPPOSITES = {
    node.CATEGORY_NOT_DIGIT: "0-9",
    node.CATEGORY_NOT_WORD: "a-zA-Z0-9_",
    node.CATEGORY_NOT_SPACE: " \\t\\n\\r",
}


def one_of(choices: tuple[str, ...]) -> str:
    """Return a regular expression that matches these texts and no others."""
    return "|".join(f"({''.join(_literal(ord(letter)) for letter in one)})" for one in choices)


def plain(pattern: str) -> str:
    """Return a regular expression (Python's, of ASCII) in its plainest form.

    Texts match it as a whole.

    Raises:
        ValueError: it is none, or looks around, refers back, or repeats too much.
    """
    try:
        parts = list(parser.parse(pattern))
    except (PatternError, OverflowError, RecursionError):
        raise ValueError("is not a regular expression") from None
    if parts and parts[0] == (node.AT, node.AT_BEGINNING):
        parts = parts[1:]
    if parts and parts[-1] == (node.AT, node.AT_END):
        parts = parts[:-1]
    written, length = _written(parts)
    if not written or length > MOST_REPEATED:
        raise ValueError("repeats too much" if written else "matches only an empty reply")
    return written


def _written(parts: Any) -> tuple[str, int]:
    """Return a sequence in plain form, and its length with all repetitions written out."""
    text, length = "", 0
    for kind, value in parts:
        more, size = _part(kind, value)
        text += more
        length += size
    return text, length


def _part(kind: Any, value: Any) -> tuple[str, int]:
    match kind:
        case node.LITERAL:
            return _literal(value), 1
        case node.NOT_LITERAL:
            return f"[^{_in_class(value)}]", 1
        case node.ANY:
            return "[^\\n]", 1
        case node.IN:
            return _class(value), 1
        case node.BRANCH:
            branches = [_written(branch) for branch in value[1]]
            # An empty one among them may not be written as such.
            texts = [text for text, _ in branches if text]
            optional = "{0,1}" if len(texts) < len(branches) and texts else ""
            whole = f"({'|'.join(texts)}){optional}" if texts else ""
            return whole, sum(size for _, size in branches)
        case node.SUBPATTERN if not (value[1] or value[2]):
            text, size = _written(value[3])
            return text and f"({text})", size
        case node.MAX_REPEAT | node.MIN_REPEAT:
            least, most, inner = value
            text, size = _written(inner)
            if not text:
                return "", 0
            if most == node.MAXREPEAT:
                return f"({text}){{{least},}}", size * (least + 1)
            return f"({text}){{{least},{most}}}", size * most
        case _:
            raise ValueError("looks around, refers back or sets flags, which is not offered")


def _class(items: Any) -> str:
    negated = items[0][0] == node.NEGATE
    items = items[1:] if negated else items
    if len(items) == 1 and items[0][1] in OPPOSITES:
        return f"[{'' if negated else '^'}{OPPOSITES[items[0][1]]}]"
    text = ""
    for kind, value in items:
        if kind == node.LITERAL:
            text += _in_class(value)
        elif kind == node.RANGE:
            text += f"{_in_class(value[0])}-{_in_class(value[1])}"
        elif value in CATEGORIES:
            text += CATEGORIES[value]
        else:
            raise ValueError("mixes an opposite like \\W into a class, which is not offered")
    return f"[{'^' if negated else ''}{text}]"


def _literal(code: int) -> str:
    letter = _letter(code)
    return f"\\{letter}" if letter in r"\^$.*+?()[]{}|/" else letter


def _in_class(code: int) -> str:
    letter = _letter(code)
    return f"\\{letter}" if letter in r"\^-[]" else letter


def _letter(code: int) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    letter = chr(code)
    if letter not in named and not letter.isprintable():
        raise ValueError("has a control character in it")
    return named.get(letter, letter)


Name = Annotated[str, Field(pattern=r"^[\w $@.-]{1,64}$")]


class Schema(BaseModel):
    """The part of JSON Schema (json-schema.org, 2020-12) that is offered."""

    model_config = ConfigDict(strict=True, extra="forbid")

    type: Literal["object", "array", "string", "number", "integer", "boolean", "null"] | None = None
    title: str = ""
    description: str = ""
    properties: dict[Name, "Schema"] = {}
    required: list[str] = []
    additionalProperties: bool = False
    items: "Schema | None" = None
    enum: list[str | int | float | bool | None] | None = Field(None, min_length=1)
    anyOf: "list[Schema] | None" = Field(None, min_length=1)

    @model_validator(mode="after")
    def _known(self) -> "Schema":
        if set(self.required) - set(self.properties):
            raise ValueError("required names a property that is not there")
        return self


def closed(schema: str) -> str:
    """Return a JSON schema without room for properties that it does not name.

    Unless it asks for them, unlike in JSON Schema, where a small model would
    invent one after the other.

    Raises:
        ValueError: it is no JSON schema, or asks for what is not offered.
    """
    try:
        read = Schema.model_validate_json(schema)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, fault["loc"]))
        where = f"asks for what is not offered, at {where}" if where else "must be a JSON object"
        raise ValueError(where) from None
    return json.dumps(_closed(read.model_dump(exclude_unset=True)))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    if "properties" in schema or schema.get("type") == "object":
        inner = {name: _closed(value) for name, value in schema.get("properties", {}).items()}
        schema = {"additionalProperties": False, **schema, "properties": inner}
    if schema.get("items"):
        schema["items"] = _closed(schema["items"])
    if schema.get("anyOf"):
        schema["anyOf"] = [_closed(one) for one in schema["anyOf"]]
    return schema
