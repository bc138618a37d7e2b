"""Who gets which part of the pool: nobody's is anyone else's, and what is kept is right."""

from itertools import pairwise
from time import thread_time

from hypothesis import given, settings
from hypothesis import strategies as st

from chat.engines.batched.ranges import Range, Ranges
from tests.support.examples import some

TEXT = list(range(100, 200))


def enter(ranges: Ranges, ids: list[int], size: int, adapter: str = "") -> Range:
    entered = ranges.enter(ids, size, adapter)
    assert entered
    return entered[0]


def left(ranges: Ranges, ids: list[int], adapter: str = "") -> Range:
    """Return the range of a reply that has ended after so many ids."""
    one = enter(ranges, ids, len(ids) + 10, adapter)
    one.length = len(ids)
    ranges.leave(one)
    return one


def test_a_range_is_as_long_as_it_was_asked_for_and_none_is_handed_out_twice() -> None:
    ranges = Ranges(100)
    found = [enter(ranges, [number], 25) for number in range(4)]
    assert sorted((one.start, one.end) for one in found) == [
        (0, 25),
        (25, 50),
        (50, 75),
        (75, 100),
    ]
    assert ranges.enter([9], 1) is None
    ranges.free(found[2])
    assert enter(ranges, [9], 25).start == found[2].start


def test_the_next_turn_stays_where_the_last_one_was() -> None:
    ranges = Ranges(300)
    before = left(ranges, TEXT[:50])
    entered = ranges.enter(TEXT[:80], 120)
    assert entered
    assert entered[0].start == entered[1] == before.start
    assert entered[0].length == 50


def test_the_same_prompt_again_leaves_its_last_id_to_be_read() -> None:
    ranges = Ranges(300)
    left(ranges, TEXT[:50])
    assert enter(ranges, TEXT[:50], 60).length == 49


def test_who_shares_a_little_gets_a_copy_and_the_rest_stays() -> None:
    ranges = Ranges(300)
    before = left(ranges, TEXT[:50])
    entered = ranges.enter([*TEXT[:10], 7, 7], 20)
    assert entered
    assert entered[1] == before.start
    assert entered[0].start >= before.end
    assert entered[0].length == 10
    assert enter(ranges, TEXT[:60], 70).length == 50


def test_what_is_being_written_is_shared_as_far_as_it_is_read() -> None:
    ranges = Ranges(300)
    one = enter(ranges, TEXT[:50], 100)
    one.length = 20
    entered = ranges.enter(TEXT[:50], 100)
    assert entered
    assert (entered[0].length, entered[1]) == (20, one.start)


def test_another_adapter_shares_nothing() -> None:
    ranges = Ranges(300)
    left(ranges, TEXT[:50], "tales")
    assert enter(ranges, TEXT[:50], 60).length == 0
    assert enter(ranges, TEXT[:50], 60, "tales").length == 49


def test_the_oldest_gives_way_first_and_what_is_used_never() -> None:
    ranges = Ranges(100)
    used = enter(ranges, [1], 40)
    left(ranges, TEXT[:20])
    left(ranges, TEXT[50:70])
    enter(ranges, [2], 35)
    assert ranges.enter(TEXT[:20], 5) is None or enter(ranges, [3], 1).length == 0
    assert used.end <= 40


def test_what_moves_for_want_of_room_behind_it_is_copied_from_where_it_was() -> None:
    ranges = Ranges(200)
    before = left(ranges, TEXT[:40])
    behind = enter(ranges, [1], 60)
    assert behind.start == before.end
    entered = ranges.enter(TEXT[:60], 90)
    assert entered
    assert (entered[0].start, entered[1], entered[0].length) == (100, before.start, 40)


def test_what_an_assistant_has_read_is_known_of_too() -> None:
    ranges = Ranges(300)
    one = enter(ranges, TEXT[:50], 60)
    one.length, one.drafted = 50, 30
    ranges.leave(one)
    assert enter(ranges, TEXT[:60], 70).drafted == 30
    assert enter(ranges, [*TEXT[:20], 7], 30).drafted == 20


@given(st.data())
@settings(max_examples=some(100))
def test_whatever_comes_and_goes_each_range_holds_what_it_says(data: st.DataObject) -> None:
    """A pool that is a list of ids, in which each writes its own."""
    ranges, pool = Ranges(60), [0] * 60
    running: list[Range] = []
    for _ in range(data.draw(st.integers(1, 25))):
        if running and data.draw(st.booleans()):
            one = running.pop(data.draw(st.integers(0, len(running) - 1)))
            if data.draw(st.booleans()):
                more = data.draw(st.lists(st.integers(1, 2), max_size=one.size - len(one.ids)))
                one.ids += more
                one.length = data.draw(st.integers(one.length, len(one.ids)))
                pool[one.start : one.start + one.length] = one.ids[: one.length]
            data.draw(st.sampled_from([ranges.leave, ranges.free]))(one)
        else:
            ids = data.draw(st.lists(st.integers(1, 2), min_size=1, max_size=12))
            size = data.draw(st.integers(len(ids), 25))
            if not (entered := ranges.enter(ids, size)):
                assert sum(one.size for one in running) + size > 0
                assert running
                continue
            one, source = entered
            assert one.length < len(ids)
            pool[one.start : one.start + one.length] = pool[source : source + one.length]
            running.append(one)
        spans = sorted((one.start, one.end) for one in running)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))
        assert all(0 <= start <= end <= 60 for start, end in spans)
        for one in running:
            assert pool[one.start : one.start + one.length] == one.ids[: one.length]


def test_room_is_soon_found_however_much_is_kept() -> None:
    """All replies wait meanwhile."""
    ranges = Ranges(200_000)
    for number in range(1_000):
        left(ranges, [*range(100), *range(number, number + 90)])
    before = thread_time()
    assert ranges.enter([*range(90), 7], 150_000)
    assert thread_time() - before < 0.1  # seconds; a few milliseconds if nothing is done twice
