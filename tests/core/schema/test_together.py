"""chat.core.schema.together: two schemas as one."""

import pytest

from chat.core.schema import together
from chat.core.schema.together import both


def test_each_of_two_is_not_put_beside_each_other_one_to_be_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(together, "product", None)
    ways = [{"anyOf": [{}] * many} for many in (16_000, 15_000)]
    with pytest.raises(ValueError, match=r"^is too large, or nested too deeply$"):
        both(*ways, ())


@pytest.mark.timeout(20)
def test_many_properties_take_a_moment() -> None:
    names = [f"p{number}" for number in range(60_000)]
    one, other = {"properties": dict.fromkeys(names, True)}, {"additionalProperties": {"title": ""}}
    found = both(one, other, ())
    assert [*found["properties"]] == names
    assert found["properties"]["p0"] == {"allOf": [True, {"title": ""}]}
    assert one["properties"]["p0"] is True
