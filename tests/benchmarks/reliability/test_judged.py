"""What is measured counts as broken beyond its limits, and not before."""

import pytest

from benchmarks.reliability import grammars, longpage, soak
from benchmarks.reliability.soak import Life, Probe

HOURS = 7200.0


def life(*probes: Probe, turns: int = 100) -> Life:
    return Life(0.0, 200, turns, probes=list(probes))


def hours(memory: float = 0.0, rate: float = 0.0, first: float = 0.0) -> Life:
    """Return two hours that end with so much more of each, in parts of one."""
    begin = [Probe(60 * minute, 500, 100, 0.5) for minute in range(10, 40, 10)]
    end = [
        Probe(60 * minute, 500 * (1 + memory), 100 * (1 + rate), 0.5 * (1 + first))
        for minute in range(100, 120, 10)
    ]
    return life(Probe(1, 100, 300, 0.1), *begin, *end)  # the first is from before it was warm


def test_hours_in_which_nothing_changes_are_as_promised() -> None:
    assert soak.found(hours(), HOURS, 0, 30).broken == []
    assert soak.found(hours(memory=0.04, rate=-0.08, first=0.09), HOURS, 0, 30).broken == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"memory": 0.06}, "memory grew by 6.0%"),
        ({"rate": -0.12}, "slower at the end"),
        ({"first": 0.12}, "later at the end"),
    ],
)
def test_hours_after_which_it_is_larger_or_slower_are_not(
    change: dict[str, float], said: str
) -> None:
    [broken] = soak.found(hours(**change), HOURS, 0, 30).broken
    assert said in broken


def test_who_was_not_answered_and_what_was_left_is_said() -> None:
    failed = hours()
    failed.failed["no reply"] += 2
    assert "no reply" in soak.found(failed, HOURS, 0, 30).broken[0]
    assert "left" in soak.found(hours(), HOURS, 5, 30).broken[0]
    assert soak.found(life(Probe(1, 1, 1, 1), turns=0), soak.BRIEF, 0, 30).broken


def test_a_few_seconds_say_nothing_of_hours() -> None:
    assert soak.found(hours(memory=1, rate=-0.5, first=2), soak.BRIEF, 0, 30).broken == []


def test_patterns_that_leave_memory_or_make_others_wait_are_not_as_promised() -> None:
    assert grammars.found(5000, (500, 540), (0.05, 0.054), []).broken == []
    assert "memory" in grammars.found(5000, (500, 560), (0.05, 0.05), []).broken[0]
    assert "waited" in grammars.found(5000, (500, 500), (0.05, 0.06), []).broken[0]
    assert grammars.found(100, (500, 500), (0.05, 0.5), []).broken == []


def test_a_browser_that_freezes_is_not_as_promised() -> None:
    seen = {longpage.TASK: 90.0, longpage.TIMER: 80.0}
    assert longpage.found(200, 2400, seen).broken == []
    assert longpage.found(200, 2400, seen | {longpage.TASK: 120.0}).broken
    assert longpage.found(200, 2400, seen | {longpage.TIMER: 120.0}).broken
