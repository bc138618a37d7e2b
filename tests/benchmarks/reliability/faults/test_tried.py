"""What must not be seen of a fault is noticed where it is."""

import asyncio
import os
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.reliability.echo import asked
from benchmarks.reliability.faults import processes, replies
from benchmarks.reliability.faults.starts import TOLD, Ended, refused
from benchmarks.reliability.faults.step import judged as found
from benchmarks.reliability.faults.tried import NEVER, SOON, Seen, Tried, judged

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
        (1, "Fourbit Chat: There is no model.", True),
    ],
)
def test_a_start_comes_to_nothing_with_one_sentence(
    status: int | None, output: str, wrong: bool
) -> None:
    assert bool(refused(Ended(status, output, 0.1), "full").wrong) is wrong


def test_a_start_that_says_so_late_is_wrong() -> None:
    said = "Fourbit Chat: The disk is full."
    assert refused(Ended(1, said, TOLD - 1), "full").wrong == []
    assert refused(Ended(1, said, TOLD + 1), "full").wrong == ["it ended after more than 60 s"]


class Rooms:
    """A house in which something fails, or does not, and is seen as this."""

    def __init__(self, seen: Seen, *, fails: bool) -> None:
        self._seen, self._fails = seen, fails
        self._asked = 0
        self.doors = {"page": self.ask}

    def happened(self, fault: str) -> int:
        return self._asked * self._fails

    async def ask(self, message: str, pattern: str) -> Seen:
        self._asked += 1
        return self._seen if self._asked == 1 else Seen(asked.reply("afterstep0"), [], 0.1)

    async def renew(self) -> None:
        pass


@pytest.mark.parametrize(
    ("seen", "fails", "wrong"),
    [
        (Seen("", [SENTENCE], 0.1), True, []),
        (Seen(asked.reply("step0"), [], 0.1), False, [NEVER]),
        (Seen("", [SENTENCE], 0.1), False, [NEVER]),
        (Seen(asked.reply("step0"), [], 0.1), True, ["the whole reply was seen of it"]),
    ],
)
def test_a_fault_has_to_happen_and_to_be_seen_as_it_should(
    seen: Seen, fails: bool, wrong: list[str]
) -> None:
    attempt = replies.asking("step", ("page",), allowed=("a sentence",))
    assert asyncio.run(attempt(cast(Any, Rooms(seen, fails=fails)), 0)).wrong == wrong


def test_who_fails_notes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.note("step")  # which nobody wants to know
    monkeypatch.setenv(asked.NOTES, str(tmp_path / "notes"))
    asked.note("step")
    asked.note("half")
    assert (tmp_path / "notes").read_text() == "step\nhalf\n"


class Engine:
    """A server that has written so many tokens more at each look, and is at work or not."""

    pid = 0

    def __init__(self, tokens: int, at_work: int) -> None:
        self._tokens, self._at_work = tokens, at_work
        self._written = 0

    async def figures(self) -> dict[str, float]:
        self._written += self._tokens
        return {processes.TOKENS: self._written}

    async def at_work(self) -> float:
        return self._at_work


@pytest.mark.parametrize(
    ("engine", "found", "replied", "happened"),
    [
        (Engine(100, 1), True, False, True),
        (Engine(100, 1), False, False, False),  # there was no process
        (Engine(100, 0), True, False, False),  # the reply had ended
        (Engine(0, 0), True, True, False),  # it never began
    ],
)
def test_a_process_has_to_be_stopped_in_the_midst_of_a_reply(
    engine: Engine, found: bool, replied: bool, happened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_stop", lambda pid: found)

    async def stop() -> bool:
        asking = asyncio.create_task(asyncio.sleep(0 if replied else 10))
        await asyncio.sleep(0.01)
        try:
            return await processes._stop_in_midst(cast(Any, engine), cast(Any, asking))
        finally:
            asking.cancel()

    assert asyncio.run(stop()) is happened


def test_each_point_is_a_row_and_what_was_wrong_is_counted() -> None:
    one, other = Tried(0.5, "a sentence", []), Tried(1.25, "nothing", ["it hung"])
    figures, broken = found({"here": [one, other, other], "there": [one]})
    assert figures == {
        "here": "nothing 2 times, a sentence 1 times; 1.25 s at worst",
        "there": "a sentence 1 times; 0.50 s at worst",
    }
    assert broken == ["here: it hung (2 of 3 times)."]
