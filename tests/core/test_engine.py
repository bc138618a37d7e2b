"""What engines give, and what is made of it."""

from hypothesis import given
from hypothesis import strategies as st

from chat.core.engine import until_stop


@given(st.lists(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_ids_end_with_the_first_stop_id(ids: list[int], stop_ids: set[int]) -> None:
    found = until_stop(ids, stop_ids)
    assert ids[: len(found)] == found
    assert not stop_ids.intersection(found[:-1])
    assert found == ids or found[-1] in stop_ids
