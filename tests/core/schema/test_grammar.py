"""chat.core.schema.grammar: what is too long to be compiled is not written out first."""

from typing import Any

import pytest

from chat.core.schema.grammar import written

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
