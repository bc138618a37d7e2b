"""The batched engine's process: what is lost with one goes on in the next, to the token."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from chat.core.sampling import Sampling
from chat.engines.batched.engine import BatchedEngine
from chat.engines.batched.wire import Plan
from tests.engines.contract.subjects import generated
from tests.support.batched import NEVER
from tests.support.batches import collect, greedy

PROMPTS = [[10 + (7 * place + number) % 100 for place in range(20)] for number in range(3)]
LENGTH = 300


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[BatchedEngine]:
    plan = Plan(Path(), Path(), 512, parallel=8, loader=f"tests.support.batched:{request.param}")
    engine = BatchedEngine(plan, watchdog=2.0).start(NEVER)
    yield engine
    engine.close()


def process() -> psutil.Process:
    """Return that of the model."""
    [found] = [
        one
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE
        and "chat.engines.batched.loading" in " ".join(one.cmdline())
    ]
    return found


async def killed(
    engine: BatchedEngine, *samplings: Sampling, by: signal.Signals = signal.SIGKILL
) -> list[list[int]]:
    """Return replies in whose middle the process is killed, or stopped."""
    begun = asyncio.Semaphore(0)

    async def ask(prompt: list[int], sampling: Sampling) -> list[int]:
        found: list[int] = []
        async for ids in engine.generate(prompt, sampling):
            found += ids
            begun.release()
        return found

    asked = [
        asyncio.create_task(ask(prompt, sampling))
        for prompt, sampling in zip(PROMPTS, samplings, strict=True)
    ]
    for _ in asked:
        await begun.acquire()
    os.kill(process().pid, by)
    return list(await asyncio.gather(*asked))


@pytest.mark.parametrize("engine", ["tiny"], indirect=True)
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGSTOP])
async def test_replies_go_on_when_the_process_is_killed_or_stopped(
    engine: BatchedEngine, caplog: pytest.LogCaptureFixture, by: signal.Signals
) -> None:
    found = await killed(engine, *[greedy(LENGTH)] * 3, by=by)
    assert found == [generated(prompt, LENGTH) for prompt in PROMPTS]
    assert "process ended" in caplog.text
    assert engine.state == "ready"


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 1.1, "top_k": 30, "repetition_penalty": 1.2, "seed": 4},
        {"temperature": 0.8, "regex": "[a-z]{1,200}", "seed": 4},
    ],
)
@pytest.mark.parametrize("engine", ["tied"], indirect=True)
async def test_drawn_ones_go_on_as_their_seed_has_it(
    engine: BatchedEngine, changes: dict[str, Any]
) -> None:
    samplings = [greedy(LENGTH, **changes)] * 3
    right = [
        await collect(engine.generate(prompt, sampling))
        for prompt, sampling in zip(PROMPTS, samplings, strict=True)
    ]
    assert await killed(engine, *samplings) == right
