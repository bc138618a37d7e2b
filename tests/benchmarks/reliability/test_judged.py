"""What is measured counts as broken beyond its limits, and not before."""

import asyncio
import os
from collections import Counter
from dataclasses import replace
from typing import Any, cast

import pytest

from benchmarks.reliability import aborts, crowd, grammars, longpage, soak
from benchmarks.reliability.aborts import Case, Noted, Site
from benchmarks.reliability.crowd import Answered, Crowd, Spell
from benchmarks.reliability.doors import Empty, Reply, hang_up
from benchmarks.reliability.longpage import Watched
from benchmarks.reliability.soak import Life, Probe
from benchmarks.reliability.watch import ABORTED, PLACES, RUNNING, TOKENS, WAITING, Server

HOURS = 7200.0
CASE = Case("API", "middle")


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


class Door:
    """Somebody who gets this, or fails with that, at each question."""

    def __init__(self, text: str = "", tokens: int = 0, error: Exception | None = None) -> None:
        self._text, self._tokens, self._error = text, tokens, error

    async def ask(self, message: str, tokens: int, reply: Reply, **controls: Any) -> None:
        reply.grow(self._text)
        reply.tokens = self._tokens
        if self._error:
            raise self._error
        await asyncio.sleep(0.01)

    async def stop(self, asking: asyncio.Task[None]) -> None:
        await hang_up(asking)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("door", "measured", "failed"),
    [
        (Door("One.", soak.TOKENS), 1, 0),
        (Door("One.", 3), 0, soak.ASKING),
        (Door("One.", 0), 0, soak.ASKING),
        (Door("", 0, Empty()), 0, soak.ASKING),
    ],
)
def test_only_what_came_in_a_pause_is_measured(
    door: Door, measured: int, failed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "Program", lambda url, *, stream: door)
    shared = life()
    asyncio.run(soak._probe(Server("http://127.0.0.1", os.getpid()), 1.0, shared))
    assert len(shared.probes) == measured
    assert shared.failed.total() == failed
    assert all(probe.tokens_per_s < soak.ASKING * soak.TOKENS / 0.01 for probe in shared.probes)
    assert bool(soak.found(shared, HOURS, 0, 30).broken) is not measured


def test_patterns_that_leave_memory_or_make_others_wait_are_not_as_promised() -> None:
    assert grammars.found(5000, (500, 540), (gaps(0.05), gaps(0.054)), []).broken == []
    assert "memory" in grammars.found(5000, (500, 560), (gaps(0.05), gaps(0.05)), []).broken[0]
    assert "waited" in grammars.found(5000, (500, 500), (gaps(0.05), gaps(0.06)), []).broken[0]
    assert grammars.found(100, (500, 500), (gaps(0.05), gaps(0.5)), []).broken == []


def gaps(seconds: float, number: int = 2000) -> list[float]:
    return [seconds] * number


def test_others_who_read_next_to_nothing_or_stand_still_are_not_as_promised() -> None:
    few, many = gaps(0.05, 3), gaps(0.05)
    for waits in ((few, many), (many, few), ([], many)):
        assert "too little" in grammars.found(5000, (500, 500), waits, []).broken[0]
        assert grammars.found(100, (500, 500), waits, []).broken
    assert "nothing for 90 s" in grammars.found(100, (500, 500), (many, [*many, 90]), []).broken[0]


class Stuck(Door):
    """Somebody whose reply never comes."""

    async def ask(self, message: str, tokens: int, reply: Reply, **controls: Any) -> None:
        await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("reader", "waited", "said"),
    [
        (Stuck(), True, []),
        (Door(error=RuntimeError("no")), False, ["A reader was not answered: RuntimeError: no"]),
    ],
)
def test_a_reader_who_waits_has_waited_and_one_who_fails_is_told_of(
    reader: Door, waited: bool, said: list[str]
) -> None:
    broken: list[str] = []
    asking: Any = [Door("No, 1: a")]
    waits = asyncio.run(grammars._while_reading(cast(Any, [reader]), asking, ["x"] * 20, broken))
    assert (max(waits) > 0.15) is waited
    assert broken == said


SEEN = Watched(
    {longpage.TASK: 90.0, longpage.ANSWER: 80.0},
    "Cut off at the length limit: 2,400 tokens, 90.1 tokens/s",
    9000,
)


def test_a_browser_that_freezes_is_not_as_promised() -> None:
    assert longpage.found(200, 2400, SEEN).broken == []
    for late in (longpage.TASK, longpage.ANSWER):
        figures = SEEN.figures | {late: 120.0}
        assert longpage.found(200, 2400, SEEN._replace(figures=figures)).broken


@pytest.mark.parametrize(
    "seen",
    [
        SEEN._replace(status="Failed: The model failed."),
        SEEN._replace(status="Stopped: 2,400 tokens, 90.1 tokens/s"),
        SEEN._replace(status="Finished: 7 tokens, 90.1 tokens/s"),
        SEEN._replace(status="Finished: 1 token"),
        SEEN._replace(letters=20),
    ],
)
def test_a_reply_that_was_not_written_shows_nothing_of_a_browser(seen: Watched) -> None:
    assert longpage.found(200, 2400, seen).broken


def test_an_abort_of_what_had_ended_is_none() -> None:
    cases = [Case(door, phase) for door in ("API", "page") for phase in aborts.PHASES]
    noted = Noted(tried=Counter(cases * 10), real=Counter(cases * 10))
    assert aborts.in_time(noted)["given up in time, all"] == "100 of 100"
    assert noted.broken == {}
    noted.real[Case("API", "last token")] = 5
    aborts.in_time(noted)
    assert [*noted.broken] == [
        "Given up too late: only 15 of 20 ended early (last token).",
        "Given up too late: only 5 of 10 ended early (API: last token).",
    ]
    few = Noted(tried=Counter(cases), real=Counter(cases[:5]))
    aborts.in_time(few)
    assert "Given up too late: only 5 of 10 ended early (all)." in few.broken


def test_replies_without_text_are_no_comparison() -> None:
    class Idle(Server):
        async def figures(self) -> dict[str, float]:
            return {PLACES: 1.0}

    site = Site(Idle("http://127.0.0.1", os.getpid()), {}, Door())
    noted = Noted()
    asyncio.run(aborts._site(site, [], noted))
    assert [*noted.broken] == ["What others are compared with has no text."]
    asyncio.run(aborts._same(site._replace(other=Door("", 0, Empty())), CASE, noted.broken, ""))
    assert "API, middle: the next was not answered" in [*noted.broken][1]


class Looked(Server):
    """A server of which nothing is left, and that has ended as many replies early as it says."""

    def __init__(self, *aborted: float) -> None:
        super().__init__("http://127.0.0.1", os.getpid())
        self._aborted = [*aborted]

    async def figures(self) -> dict[str, float]:
        aborted = self._aborted.pop(0) if len(self._aborted) > 1 else self._aborted[0]
        return {RUNNING: 0.0, WAITING: 0.0, TOKENS: 0.0, ABORTED: aborted}


@pytest.mark.parametrize(("aborted", "real"), [((3.0, 3.0), 0), ((3.0, 4.0), 1)])
def test_the_server_says_whether_a_reply_was_given_up(
    aborted: tuple[float, ...], real: int
) -> None:
    site = Site(Looked(*aborted), {"API": Door("Yes.")}, Door("Yes."))
    noted = Noted()
    asyncio.run(aborts._give_up(site, CASE, noted, "Yes."))
    assert (noted.tried[CASE], noted.real[CASE]) == (1, real)
    assert noted.broken == {}


def spells(*seconds: float, status: int = 0) -> list[Spell]:
    return [Spell(1.0, 1.0 + each, status) for each in seconds]


def a_crowd(**changed: list[Spell]) -> Crowd:
    crowd = Crowd(
        spells(*[10.1] * 200),
        spells(30.1, 30.2),
        spells(0.1, status=429),
        spells(0.1, status=400),
        spells(3.0, status=200),
    )
    return replace(crowd, **changed)


def test_a_crowd_that_is_held_off_is_as_promised() -> None:
    assert crowd.held_off(a_crowd(), 200).broken == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"silent": spells(*[0.01] * 200)}, "held only 0 of 200"),
        ({"silent": spells(*[10.1] * 199, 45.0)}, "Silence was put up with for 45 s"),
        ({"silent": [Spell(-1000.0)] * 200}, "Silence was put up with"),
        ({"posts": spells(0.01, 0.2)}, "No slow post"),
        ({"posts": spells(30.1, 70.0)}, "A post went on for 70 s"),
        ({"takers": spells(5.0, 7.0, status=200)}, "refused any"),
        ({"giants": []}, "Nobody heard what was asked by giants"),
        ({"giants": spells(0.1, status=429)}, "Nobody heard what was asked by giants"),
        ({"giants": spells(90.0, status=200)}, "giants went on for 90 s"),
        ({"patterns": spells(2.0)}, "Nobody heard what was asked by patterns"),
        ({"patterns": spells(2.0, status=500)}, "failed at patterns"),
    ],
)
def test_a_crowd_that_was_none_or_is_put_up_with_is_not(
    changed: dict[str, list[Spell]], said: str
) -> None:
    [broken] = crowd.held_off(a_crowd(**changed), 200).broken
    assert said in broken


def test_a_connection_is_ended_when_the_server_ends_it() -> None:
    async def connected() -> Spell:
        async with await asyncio.start_server(lambda _, out: out.close(), "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            spell = Spell()
            await crowd._connection(f"http://127.0.0.1:{port}", spell)
            async with asyncio.timeout(5):
                while not spell.ended:
                    await asyncio.sleep(0.01)
            return spell

    assert asyncio.run(connected()).seconds < crowd.HELD


def test_people_who_wait_for_the_first_word_are_told_of() -> None:
    quiet = [Answered(0.1, 0.5)]
    assert crowd.late(quiet, [Answered(4.0, 9.0)]) == []
    assert crowd.late([Answered(0.5, 1.0)], [Answered(9.0, 9.0)]) == []
    assert crowd.late(quiet, [Answered(0.1, 0.5), Answered(6.0, 9.0)])
