"""chat.engines.watchdog: what goes on no more is noticed, and what goes on slowly is not."""

import os
import time
from collections.abc import Callable, Iterator
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from chat.engines import watchdog
from chat.engines.watchdog import FACTOR, Watchdog

Start = Callable[..., Watchdog]


class Hung(Event):
    """What is said of how long nothing happened."""

    seconds: float

    def __call__(self, seconds: float) -> None:
        self.seconds = seconds
        self.set()


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "PAUSE", 0.02)


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    started: list[Watchdog] = []

    def start(*given: Any) -> Watchdog:
        started.append(Watchdog(*given))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.mark.parametrize(("load", "seconds"), [(0.0, 8.0), (4.0, 8.0), (15.0, 30.0)])
def test_what_takes_long_on_a_quiet_machine_takes_longer_on_a_busy_one(
    load: float, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert watchdog.slowed(8.0) == seconds


def test_no_beat_for_too_long_is_noticed_once(start: Start) -> None:
    hung = Hung()
    begun = time.monotonic()
    start(lambda: 0.2, hung)
    assert hung.wait(10)
    assert time.monotonic() - begun > 0.2
    assert hung.seconds > 0.2
    hung.clear()
    assert not hung.wait(0.5)


def test_beats_and_having_nothing_to_do_are_no_reason(start: Start) -> None:
    hung = Hung()
    beating = start(lambda: 0.3, hung)
    idle = Hung()
    start(lambda: 0.0, idle)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        beating.beat()
        time.sleep(0.01)
    assert not hung.is_set()
    assert not idle.is_set()


def test_what_once_took_long_may_take_several_times_as_long(start: Start) -> None:
    hung = Hung()
    seconds = [5.0]
    one = start(lambda: seconds[0], hung)
    time.sleep(0.3)
    one.beat()
    time.sleep(0.1)
    seconds[0] = 0.1
    assert not hung.wait(0.3 * (FACTOR - 2))
    assert hung.wait(10)


def test_a_server_that_stood_still_itself_blames_nobody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped, or whose machine slept: its clock went on."""
    ahead = [0.0]
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + ahead[0])
    monkeypatch.setattr(watchdog, "time", clock)
    hung = Hung()
    start(lambda: 1.0, hung)
    time.sleep(0.1)
    ahead[0] = 1000.0
    assert not hung.wait(0.5)


def test_once_closed_it_says_nothing(start: Start) -> None:
    hung = Hung()
    start(lambda: 0.2, hung).close()
    assert not hung.wait(0.6)
