"""The embedded model: a greedy reply is the same whatever ends the process that writes it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from chat.core.sampling import Sampling
from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from chat.models import ir
from chat.settings import Settings
from tests.support.batches import collect

PROMPTS = [[1, 100 + number, 500, 42, 77, 3000] for number in range(2)]
WHOLE = Sampling(temperature=0, max_new_tokens=60, min_new_tokens=60, repetition_penalty=1.1)


@pytest.fixture
def engine(embedded_model: Path) -> Iterator[OpenVINOEngine]:
    folder = ir.tokenizer_and_folder(embedded_model, Settings().cache_dir)[1]
    engine = OpenVINOEngine(folder, 512, 2, EXACT, watchdog=2.0).start({2})
    yield engine
    engine.close()


def process() -> psutil.Process:
    """Return that of the model."""
    [found] = [
        one
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE
        and "chat.engines.openvino.batcher" in " ".join(one.cmdline())
    ]
    return found


async def test_it_goes_on_exactly_after_a_kill_and_after_a_stop(
    engine: OpenVINOEngine, caplog: pytest.LogCaptureFixture
) -> None:
    right = await asyncio.gather(*(collect(engine.generate(one, WHOLE)) for one in PROMPTS))
    ends: list[Callable[[psutil.Process], None]] = [psutil.Process.kill, psutil.Process.suspend]
    for end in ends:
        begun = asyncio.Semaphore(0)

        async def follow(prompt: list[int], begun: asyncio.Semaphore = begun) -> list[int]:
            given: list[int] = []
            async for ids in engine.generate(prompt, WHOLE):
                given += ids
                if ids:
                    begun.release()
            return given

        following = [asyncio.create_task(follow(prompt)) for prompt in PROMPTS]
        for _ in range(8):
            await begun.acquire()
        ended = process()
        end(ended)
        assert await asyncio.gather(*following) == right
        assert process().pid != ended.pid
    assert caplog.text.count("process ended") == len(ends)
    assert engine.state == "ready"
