"""JSON schemas of all that is offered, of which every reply can be short."""

import re
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

STRING = re.compile(r'"(\\.|[^"\\])*"')


class Mood(Enum):
    GOOD = "größer"
    BAD = "Übel"


class Place(BaseModel):
    zip: str = Field(pattern=r"^\d{2}[a-fä]$")
    floor: int = Field(ge=-2, le=31)


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    barks: bool


class Everything(BaseModel):
    """What programs make of their models."""

    mood: Mood
    place: Place
    other: Place | None
    pair: tuple[bool, Literal["x", 1]]
    pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]] = Field(max_length=2)
    share: float = Field(ge=0, le=0.25)
    counts: dict[str, bool] = Field(max_length=0)


TREE = {
    "$ref": "#/$defs/tree",
    "$defs": {
        "tree": {
            "anyOf": [
                {"enum": ["leaf"]},
                {"type": "array", "prefixItems": [{"type": "null"}, {"$ref": "#/$defs/tree"}]}
                | {"items": False, "minItems": 2},
            ]
        }
    },
}
NULL: dict[str, Any] = {"type": "null"}


def _tuple(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": [*items], "items": False, "minItems": len(items)}


def _object(properties: dict[str, Any], *required: str, **words: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required], **words}


SCHEMAS: dict[str, dict[str, Any]] = {
    "models": Everything.model_json_schema(),
    "recursive": TREE,
    "letters": _object(
        {"größe": {"const": "Übe"}, 'a"b\\': {"const": ["é1", "ñc\n"]}, "": NULL, "日 本": NULL},
        *("größe", 'a"b\\', "", "日 本"),
    ),
    "one of Arabic": {"enum": ["مرحبا", "سلام دنیا", "می\u200cخواهم"]},
    "emoji": {"enum": ["👨\u200d👩\u200d👧", "全\u3000角", "10\xa0c", "\x7fa"]},
    "unions": {"type": ["null", "boolean", "integer"], "maximum": 9, "minimum": -9},
    "notes": {"$schema": "a", "title": "b", "default": 1, "examples": [2], "x-c": 3, **NULL},
    "all of": {"allOf": [_object({"a": NULL}, "a"), _object({"b": NULL}, "b")]},
    "beside any of": _object(
        {"a": NULL}, "a", anyOf=[{"required": ["b"], "properties": {"b": NULL}}, True]
    ),
    "some optional": _object(dict.fromkeys("abcd", NULL), "c"),
    "all optional": _object(dict.fromkeys("abc", NULL)),
    "a map": {"additionalProperties": NULL, "type": "object", "maxProperties": 0},
    "names": {"patternProperties": {"^[ab]$": NULL}, "type": "object", "maxProperties": 2},
    "names that are chosen": {
        "type": "object",
        "propertyNames": {"$ref": "#/$defs/name"},
        "additionalProperties": NULL,
        "$defs": {"name": {"enum": ["ä", "b"]}},
    },
    "names of a pattern": {
        "type": "object",
        "propertyNames": {"pattern": "^[ab]$"},
        "additionalProperties": NULL,
        "maxProperties": 2,
    },
    "items": {"type": "array", "items": NULL, "minItems": 33, "maxItems": 70},
    "few items": {"type": "array", "prefixItems": [NULL], "items": {"enum": [1]}, "maxItems": 3},
    "lengths": _tuple(
        {"type": "string", "minLength": 33, "maxLength": 70},
        {"type": "string", "pattern": "^[a-c]{2,3}$"},
    ),
    "patterns": _tuple(
        *(
            {"type": "string", "pattern": pattern}
            for pattern in (r"^[^a-zä]{2}$", r"^[\"\\a]{2}$", r"^(a|)b\n$", r"^ö[ä-ü]b$")
        )
    ),
    "unique": _tuple(
        {"type": "array", "items": {"enum": ["a", "ü", 1]}, "uniqueItems": True},
        {"type": ["array", "null"], "items": {"type": "boolean"}, "uniqueItems": True}
        | {"minItems": 1, "maxItems": 2},
        {"type": "array", "items": NULL, "maxItems": 1, "uniqueItems": True},
    ),
    "a Decimal": _tuple({"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}),
    "formats": _tuple(
        *({"type": "string", "format": name} for name in ("date", "time", "ipv4", "uuid"))
    ),
    **{
        f"numbers {limits}": _tuple(*[{"type": "number", **limits}] * 4)
        for limits in (
            {"minimum": 0.5, "maximum": 2.25},
            {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"minimum": -1.5, "exclusiveMaximum": -0.25},
            {"exclusiveMinimum": -3, "maximum": 12},
            {"exclusiveMinimum": 0.2, "exclusiveMaximum": 0.3},
            {"minimum": -0.05, "maximum": 0.05},
        )
    },
    **{
        f"integers {limits}": _tuple(*[{"type": "integer", **limits}] * 4)
        for limits in (
            {"minimum": -17, "maximum": 203},
            {"exclusiveMinimum": 99, "maximum": 1000},
            {"minimum": 9.5, "exclusiveMaximum": 12.5},
        )
    },
}
