"""chat.core.schema.unique: every array without anything twice, and no other."""

import json
from itertools import product
from typing import Any

import jsonschema
import pytest

from chat.core.schema.fitting import fitting

NAMES = {"enum": ["a", "b", 1, 1.0, True]}


def read(schema: dict[str, Any]) -> Any:
    return json.loads(fitting(json.dumps(schema)).schema)


@pytest.mark.parametrize(
    "limits", [{}, {"minItems": 2}, {"maxItems": 1}, {"maxItems": 0}, {"minItems": 1}], ids=str
)
@pytest.mark.parametrize("referred", [False, True])
def test_the_same_arrays_fit_as_before(limits: dict[str, int], *, referred: bool) -> None:
    items = {"$ref": "#/$defs/b"} if referred else NAMES
    asked = {
        "type": ["array", "null"],
        "items": items,
        "uniqueItems": True,
        **limits,
        "$defs": {"a": NAMES, "b": {"$ref": "#/$defs/a"}},
    }
    before, after = (jsonschema.Draft202012Validator(one) for one in (asked, read(asked)))
    values = [*(list(some) for n in range(4) for some in product("ab1", repeat=n)), None, "a", 1]
    for value in [*values, [1], [True, 1], [1, 1.0], [True, True], ["a", "b", 1, True], ["c"]]:
        assert before.is_valid(value) == after.is_valid(value), value


def test_two_that_hold_together_are_unique_if_one_is() -> None:
    asked = {"type": "array", "items": {"enum": ["a"]}, "uniqueItems": False}
    both = read({"allOf": [asked, {"uniqueItems": True}]})
    assert not jsonschema.Draft202012Validator(both).is_valid(["a", "a"])


@pytest.mark.parametrize(
    "asked",
    [
        {"items": {"type": "string"}},
        {"items": {"enum": [*"abcde"]}},
        {"items": {"enum": [*range(15_000)]}},
        {},
        {"prefixItems": [{"enum": ["a"]}], "items": {"enum": ["a"]}},
        {"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {}}},
    ],
    ids=str,
)
def test_what_could_be_too_many_is_refused_by_its_path(asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^asks for what is not offered, at uniqueItems$"):
        read({"type": "array", "uniqueItems": True, **asked})


def test_what_refers_to_itself_is_refused_too() -> None:
    loop = {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
    with pytest.raises(ValueError, match="uniqueItems"):
        read({"type": "array", "uniqueItems": True, "items": {"$ref": "#/$defs/a"}, "$defs": loop})
