"""chat.core.schema: what is offered of JSON Schema, and how what is not is refused."""

import json
import re
from itertools import product
from typing import Any

import pytest

from chat.core.schema import choices
from chat.core.schema.fitting import LONGEST_SCHEMA, fitting
from tests.support.schemas import SCHEMAS

NULL = {"type": "null"}


def read(schema: object) -> Any:
    return json.loads(fitting(json.dumps(schema, separators=(",", ":"))).schema)


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
        ({"pattern": "(?=a)b"}, "pattern"),
        ({"items": {"pattern": "^.{1,900}$"}}, "items.pattern"),
        ({"pattern": "a", "maxLength": 3}, "maxLength"),
        ({"oneOf": [{"enum": [1, "a"]}, {"enum": [1.0, "b"]}]}, "as a whole"),
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
    values = [f"value {n}" for n in range(6_000)]
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


DEEP: Any = None
for _ in range(300):
    DEEP = [DEEP]


def refs(*names: str) -> list[Any]:
    return [{"$ref": f"#/$defs/{name}"} for name in names]


def chain(length: int, **node: Any) -> dict[str, Any]:
    """Return definitions, each of which is the next one."""
    nexts = {f"d{n}": refs(f"d{n + 1}")[0] for n in range(length)}
    return {**nexts, f"d{length}": NULL}


#: Small schemas of which something was made that is as large as a square or more.
GROWING: dict[str, Any] = {
    "objects within objects": {
        "$ref": "#/$defs/d0",
        "$defs": {f"d{n}": {"properties": {"a": refs(f"d{n + 1}")[0]}} for n in range(300)}
        | {"d300": {}},
    },
    "letters of a name": {"properties": {"a" * 1_100: {}}, "additionalProperties": True},
    "values within values": {"allOf": [{"enum": [DEEP]}, {"enum": [DEEP, 1]}]},
    "the same values again and again": {
        "$defs": {"a": {"enum": [*range(6_000)]}, "b": {"enum": [*range(1, 6_001)]}},
        "allOf": refs(*"ab") * 400,
    },
    "the same names again and again": {
        "$defs": {"a": {"properties": {"a" * 50_000: {}}}},
        "prefixItems": [{"allOf": refs("a")}] * 500,
        "type": "array",
    },
    "long values in each order": {
        "$defs": {"a": {"enum": [letter * 20_000 for letter in "abcd"]}},
        "prefixItems": [{"type": "array", "uniqueItems": True, "items": refs("a")[0]}] * 90,
        "type": "array",
    },
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", GROWING)
def test_what_would_grow_is_refused_before_it_does(name: str) -> None:
    with pytest.raises(ValueError, match=r"^is too large, or nested too deeply$"):
        read(GROWING[name])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": refs(*(f"d{n}" for n in reversed(range(900)))), "$defs": chain(900)},
        {"allOf": [{"enum": [*range(9_000)]}, {"enum": [*range(8_999, 17_000)]}]},
        {
            "oneOf": [
                {"type": "object", "properties": {"a": {"const": n}}, "required": ["a"]}
                for n in range(300)
            ]
        },
    ],
    ids=["refers to the next", "values", "objects"],
)
def test_what_is_large_and_simple_is_read_in_a_moment(schema: object) -> None:
    assert read(schema)


@pytest.mark.timeout(20)
def test_a_number_close_to_nothing_is_not_written_out_for_each_item() -> None:
    never = {"type": "integer", "minimum": 2, "maximum": 1}  # so nobody looks at what follows
    items = [{"type": "number", "minimum": 1.1e-300, "maximum": n} for n in range(1, 1_500)]
    with pytest.raises(ValueError, match="is too large, or has patterns that are too long"):
        read({"type": "array", "prefixItems": [never, *items]})


def test_what_is_compared_with_each_other_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    schema = {"oneOf": [{"const": n} for n in range(46)]}  # 1,035 pairs
    monkeypatch.setattr(choices, "MOST_PAIRS", 1_000)
    with pytest.raises(ValueError, match=r"^is too large, or nested too deeply$"):
        read(schema)
    monkeypatch.undo()
    assert "anyOf" in read(schema)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", ["[" * 90_000, "x{" + "1" * 90_000], ids=["open", "digits"])
def test_a_long_pattern_is_not_even_looked_at(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^is too long, at items\.pattern$"):
        read({"items": {"pattern": pattern}})


@pytest.mark.timeout(20)
def test_the_place_of_a_fault_is_looked_for_no_longer_than_a_moment() -> None:
    properties = dict.fromkeys(map(str, range(900)), refs("a")[0])
    fault = {"oneOf": [{"type": "number"}, {"type": "integer"}]}
    values = [f"value {n}" for n in range(3_000)]
    schema = {"properties": {**properties, "z": fault}, "$defs": {"a": {"enum": values}}}
    with pytest.raises(ValueError, match=r"^asks for what is not offered, as a whole$"):
        read(schema)


def test_a_schema_has_a_limit_of_characters_before_it_is_read() -> None:
    for text in ("{", '{"a": "'):
        with pytest.raises(ValueError, match=r"^must have at most 100,000 characters$"):
            fitting(text + " " * LONGEST_SCHEMA)
    assert fitting("{}" + " " * (LONGEST_SCHEMA - 2))


def test_a_count_may_be_written_with_a_point() -> None:
    text, items = {"minLength": 1.0, "maxLength": 2.0}, {"minItems": 2.0, "maxItems": 3.0}
    for schema in (
        {"type": "string", **text},
        {"type": "array", "items": NULL, **items},
        {"type": "array", "prefixItems": [NULL] * 3, **items},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, **items},
        {"type": "object", "additionalProperties": NULL, "minProperties": 1.0},
    ):
        assert read(schema) == read(json.loads(json.dumps(schema).replace(".0", "")))


def test_a_type_that_is_named_again_is_looked_at_once() -> None:
    assert read({"type": ["string", "null"] * 9})["type"] == ["string", "null"]


def test_true_and_1_are_two_values_and_1_and_1_point_0_are_one() -> None:
    for one, other in (([True], [1]), ([[0]], [[False]]), ([{"a": 1}], [{"a": True}])):
        with pytest.raises(ValueError, match="can never be fulfilled"):
            read({"allOf": [{"enum": one}, {"enum": other}]})
        assert "anyOf" in read({"oneOf": [{"enum": one}, {"enum": other}]})
    kept = read({"allOf": [{"enum": [1, [2.0], {"b": 0}]}, {"enum": [[2], 1.0, {"b": 0.0}]}]})
    assert kept == {"enum": [1, [2], {"b": 0}]}


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


ZOD = (
    r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]"
    r"@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"
)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "uri", "minLength": 1, "maxLength": 2083},
        {"type": "string", "format": "path"},
        {"format": "path"},
        {"anyOf": [{"format": "path"}, {"type": "null"}]},
        {"type": "string", "format": "uuid", "enum": ["a"]},
        {"type": "string", "format": "uuid", "pattern": "^[0-9a-f]{8}$", "minLength": 1},
        {"type": "string", "format": "color", "maxLength": 7},
        {"type": "integer", "format": "int32"},
        {"type": "string", "format": "email", "pattern": ZOD},
        {"type": "string", "format": "date", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    ],
    ids=str,
)
def test_a_format_is_a_note_where_it_can_be_no_more(schema: dict[str, Any]) -> None:
    asked = {"type": "object", "properties": {"x": schema}, "required": ["x"]}
    assert fitting(json.dumps(asked)).grammar
