"""chat.core.schema: what is offered of JSON Schema, and how what is not is refused."""

import json
import re
from itertools import product
from typing import Any

import pytest

from chat.core.schema.fitting import fitting
from tests.support.schemas import SCHEMAS

NULL = {"type": "null"}


def read(schema: object) -> Any:
    return json.loads(fitting(json.dumps(schema)).schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_programs_ask_for_is_offered(name: str) -> None:
    assert fitting(json.dumps(SCHEMAS[name])).grammar.startswith("root ::= ")


@pytest.mark.parametrize("schema", [{}, {"type": "object"}, {"$defs": {"a": {"not": {}}}}])
def test_what_says_little_is_offered(schema: object) -> None:
    assert isinstance(read(schema), dict)


def test_a_schema_leaves_no_room_for_properties_that_it_does_not_name() -> None:
    inner = {"properties": {"a": NULL}}
    for schema, found in (
        (inner, lambda read: read),
        ({"items": inner}, lambda read: read["items"]),
        ({"anyOf": [inner, NULL]}, lambda read: read["anyOf"][0]),
        ({"properties": {"b": inner}}, lambda read: read["properties"]["b"]),
        ({"$ref": "#/$defs/b", "$defs": {"b": inner}}, lambda read: read["$defs"]["0"]),
        ({"$ref": "#/$defs/b", "$defs": {"b": {}}, **inner}, lambda read: read),
    ):
        assert found(read(schema)) == {**inner, "additionalProperties": False}
    asked = {"type": "object", "additionalProperties": True}
    assert read(asked)["additionalProperties"] is True


def test_what_has_to_hold_together_is_put_together_before_it_is_closed() -> None:
    parts = [
        {"properties": {"a": NULL}, "required": ["a"]},
        {"properties": {"a": {}, "b": {"type": "integer", "minimum": 1}}},
        {"properties": {"b": {"type": "number", "minimum": 2}}, "type": "object"},
    ]
    assert read({"allOf": parts}) == {
        "type": "object",
        "properties": {"a": NULL, "b": {"type": ["integer"], "minimum": 2}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_what_one_part_shuts_out_another_cannot_let_in() -> None:
    shut = {"properties": {"a": NULL}, "additionalProperties": False}
    found = read({"allOf": [shut, {"properties": {"b": NULL}}]})
    assert found["properties"] == {"a": NULL}
    with pytest.raises(ValueError, match="can never be fulfilled"):
        read({"allOf": [shut, {"properties": {"b": NULL}, "required": ["b"]}]})


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"properties": {"a": {"not": {}}}}, "properties.a.not"),
        ({"items": {"uniqueItems": True}}, "items.uniqueItems"),
        ({"anyOf": [NULL, {"if": {}}]}, "anyOf.1.if"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"contains": {}}}}, r"\$defs.x.contains"),
        ({"propertyNames": {"maxLength": 2}}, "propertyNames"),
        ({"x-guidance": {}}, "x-guidance"),
        ({"multipleOf": 3}, "multipleOf"),
        ({"format": "color"}, "format"),
        ({"pattern": "(?=a)b"}, "pattern"),
        ({"items": {"pattern": "^.{1,900}$"}}, "items.pattern"),
        ({"pattern": "a", "maxLength": 3}, "maxLength"),
        ({"$ref": "https://example.org/a"}, r"\$ref"),
        ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, "as a whole"),
        ({"items": {"oneOf": [{"type": "number"}, {"type": "integer"}]}}, "items"),
    ],
)
def test_what_is_not_offered_is_refused_with_the_place(schema: object, where: str) -> None:
    with pytest.raises(ValueError, match=f"^asks for what is not offered, (at )?{where}$"):
        read(schema)


@pytest.mark.parametrize(
    ("schema", "where"),
    [
        ({"type": "strange"}, "type"),
        ({"type": []}, "type"),
        ({"anyOf": []}, "anyOf"),
        ({"properties": []}, "properties"),
        ({"items": {"minItems": -1}}, "items.minItems"),
        ({"maximum": "5"}, "maximum"),
        ({"required": "a"}, "required"),
    ],
)
def test_what_is_no_schema_is_refused_with_the_place(schema: object, where: str) -> None:
    with pytest.raises(ValueError, match=f"^is not as JSON Schema has it, at {where}$"):
        read(schema)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"$ref": "#"}, "refers to itself alone"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}, "to itself"),
        ({"properties": {"a": {"$ref": "#"}}, "required": ["a"]} | {"type": "object"}, "an end"),
        ({"type": "array", "items": {"$ref": "#"}, "minItems": 1}, "never comes to an end"),
        ({"$ref": "#/$defs/a"}, r"names what is not there, at \$ref"),
        ({"items": "a"}, "must be a schema, at items"),
        ({"type": "object", "required": ["b"]}, "names a property that is not there, at required"),
        ({"minimum": 5, "maximum": 3, "type": "integer"}, "can never be fulfilled"),
        ({"allOf": [{"type": "string"}, NULL]}, "can never be fulfilled"),
        ({"enum": ["a"], "maxLength": 2}, "cannot be said beside enum or const, at maxLength"),
    ],
)
def test_what_cannot_be_met_is_refused(schema: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read(schema)


def test_what_takes_too_long_to_compile_is_refused() -> None:
    patterns = [{"pattern": f"^[a-z]{{0,{n}}}[^0-9]{{0,9}}$", "type": "string"} for n in range(90)]
    values = [f"value {n}" for n in range(9_000)]
    for schema in ({"prefixItems": patterns, "type": "array"}, {"enum": values}):
        with pytest.raises(ValueError, match="is too large, or has patterns that are too long"):
            read(schema)
    assert read({"prefixItems": patterns[:1] * 90, "type": "array"})


def test_what_grows_too_large_or_too_deep_is_refused() -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"items": deep}
    wide = [{"anyOf": [{word: n} for n in range(50)]} for word in ("minimum", "maxLength")]
    doubling = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2 + [{"title": "x"}]}
        for n in range(40)
    }
    for schema in (
        deep,
        {"allOf": wide},
        {"$defs": {**doubling, "d40": {}}, "$ref": "#/$defs/d0", "type": "object"},
    ):
        with pytest.raises(ValueError, match="too large, or nested too deeply"):
            read(schema)


@pytest.mark.parametrize("text", ["", "[]", "{", '"a"', '{"const": "\\ud800"}', "{'a': 1}"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a JSON object$"):
        fitting(text)


def test_what_pydantic_writes_for_a_decimal_needs_no_look_ahead() -> None:
    pattern = r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"
    written = read({"type": "string", "pattern": pattern})["pattern"]
    for size in range(5):
        for text in map("".join, product("+-.07a", repeat=size)):
            assert bool(re.search(pattern, text)) == bool(re.search(written, text)), text
