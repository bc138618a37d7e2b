"""chat.core.schema.grammar: what is too long to be compiled is not written out first."""

import json
from typing import Any

import pytest

from chat.core.schema.fitting import fitting
from chat.core.schema.grammar import written
from chat.core.schema.patterns import quoted

MANY = {chr(0x4E00 + number): True for number in range(20_000)}
PAIRS = {f"{one}{other}": True for one in [*MANY][:400] for other in [*MANY][:400]}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "node",
    [
        {"properties": MANY, "additionalProperties": True},
        {"properties": PAIRS, "additionalProperties": False, "required": [*PAIRS]},
    ],
    ids=["other names", "required"],
)
def test_many_names_are_refused_in_a_moment(node: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^is too large, or has patterns that are too long$"):
        written({"type": "object", **node})


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": {"type": "string", "pattern": "^\\d+$"}},
        {"additionalProperties": {"const": 5}},
    ],
)
def test_what_is_said_of_an_object_holds_where_its_type_is_not_said(schema: dict[str, Any]) -> None:
    every = ["null", "boolean", "integer", "number", "string", "array", "object"]
    assert (
        fitting(json.dumps(schema)).grammar
        == fitting(json.dumps({"type": every, **schema})).grammar
    )


@pytest.mark.parametrize("pattern", ["^[a-z {}]+$", "^[ {]$", "^[!-9 ]{2,3}$"])
def test_a_class_keeps_its_space(pattern: str) -> None:
    begin = quoted(pattern).partition("]")[0]
    assert " " in begin.removeprefix("([")


def test_what_is_required_has_to_be_there_whatever_the_type() -> None:
    for schema in ({"required": ["a"]}, {"type": "object", "required": ["a"]}):
        with pytest.raises(ValueError, match="a property that is not there"):
            fitting(json.dumps(schema))
