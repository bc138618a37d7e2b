"""benchmarks.kills: what is done without Ray; tests/deploy/test_ray.py has the rest."""

import asyncio
from typing import Any

import pytest

from benchmarks.kills import steps
from benchmarks.kills.people import Told


class Nodes:
    """A cluster of which nothing is asked."""

    url = "http://127.0.0.1:1"

    def add_node(self) -> None:
        pass

    def deploy(self, **_: Any) -> None:
        pass

    async def running(self, _: int) -> None:
        pass


class Talkers:
    """People whose first turn is cold, and has the longest waits."""

    def __init__(self, *_: Any) -> None:
        self.turns: list[int] = []

    def tell(self, tokens: int) -> asyncio.Task[Told]:
        self.turns.append(tokens)
        told = Told([f"reply {tokens}"], [f"error {tokens}"], 5.0 if len(self.turns) == 1 else 0.5)
        return asyncio.create_task(asyncio.sleep(0, told))


async def test_the_undisturbed_gap_is_of_a_warm_turn_as_short_as_the_disturbed_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(steps, "load", lambda _: None)
    monkeypatch.setattr(steps, "People", Talkers)
    people, unbroken = await steps.start(Nodes(), 700)  # type: ignore[arg-type]
    assert people.turns == [700, steps.TOKENS]  # type: ignore[attr-defined]
    assert unbroken == Told(["reply 700"], ["error 700", f"error {steps.TOKENS}"], 0.5)
