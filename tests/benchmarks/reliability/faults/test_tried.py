"""What must not be seen of a fault is noticed where it is."""

import os

import pytest

from benchmarks.reliability.faults.starts import Ended, refused
from benchmarks.reliability.faults.step import judged as found
from benchmarks.reliability.faults.tried import SOON, Seen, Tried, judged

WHOLE = "You asked for moon."
SENTENCE = "The model failed. Please try again."


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    "seen", [Seen(WHOLE, [], SOON + 3), Seen("You a", [SENTENCE], 0.1), Seen("", [SENTENCE], 0.1)]
)
def test_a_reply_that_goes_on_and_a_sentence_that_comes_soon_are_right(seen: Seen) -> None:
    assert judged(seen, WHOLE).wrong == []


@pytest.mark.parametrize(
    "seen",
    [
        None,
        Seen("", [], 0.1),
        Seen("You a", [], 0.1),
        Seen("", [""], 0.1),
        Seen("", [SENTENCE], SOON + 0.1),
        Seen("", ["Traceback (most recent call last). Oh."], 0.1),
        Seen("", ["The file /a/b.py failed."], 0.1),
        Seen("", ["It cannot encode what was said."], 0.1),
        Seen(WHOLE, [], 0.1, kept=False),
        Seen("", [SENTENCE], 0.1, kept=False),
    ],
)
def test_all_else_is_wrong(seen: Seen | None) -> None:
    assert judged(seen, WHOLE).wrong


def test_what_is_soon_is_later_where_many_wait_for_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0 * (os.cpu_count() or 1), 0.0, 0.0))
    assert judged(Seen("", [SENTENCE], 3 * SOON - 0.1), WHOLE).wrong == []
    assert judged(Seen("", [SENTENCE], 3 * SOON + 0.1), WHOLE).wrong


@pytest.mark.parametrize(
    ("status", "output", "wrong"),
    [
        (1, "Starting ...\nFourbit Chat: The disk is full.\n", False),
        (None, "* Running on local URL: x", True),
        (1, "OSError: [Errno 28] No space left on device", True),
        (1, "Fourbit Chat: expected a value", True),
        (1, "Traceback\nFourbit Chat: The disk is full.", True),
        (-9, "Fourbit Chat: The disk is full.", True),
    ],
)
def test_a_start_comes_to_nothing_with_one_sentence(
    status: int | None, output: str, wrong: bool
) -> None:
    assert bool(refused(Ended(status, output, 0.1)).wrong) is wrong


def test_each_point_is_a_row_and_what_was_wrong_is_counted() -> None:
    one, other = Tried(0.5, "a sentence", []), Tried(1.25, "nothing", ["it hung"])
    figures, broken = found({"here": [one, other, other], "there": [one]})
    assert figures == {
        "here": "nothing 2 times, a sentence 1 times; 1.25 s at worst",
        "there": "a sentence 1 times; 0.50 s at worst",
    }
    assert broken == ["here: it hung (2 of 3 times)."]
