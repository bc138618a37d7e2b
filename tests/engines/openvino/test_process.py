"""The OpenVINO engine's process: closed, killed, hung, and one that cannot begin."""

import asyncio
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from chat.core.sampling import Sampling
from chat.engines.openvino.engine import EXACT
from chat.errors import EngineError, ModelError
from tests.support.batches import collect, greedy
from tests.support.openvino import ENDLESS, LONG, PROMPT, Start, newest_process, some_ids


async def test_closing_makes_room_for_the_next_long_before_the_reply_would_have_ended(
    start: Start, long: Path
) -> None:
    """By a clock that ticks once a step: another reply in the same batch."""
    engine = start(long, window=LONG, parallel=2)  # room for two full windows
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        async for ids in engine.generate(PROMPT, ENDLESS):
            ticks += len(ids)

    clock = asyncio.create_task(tick())
    async with aclosing(engine.generate(some_ids(4), ENDLESS)) as batches:
        async for ids in batches:
            if ids and ticks:
                break
    before = ticks
    # It has to wait for the room of one of the two.
    assert len(await collect(engine.generate(some_ids(250), greedy(5)))) == 5
    assert ticks < before + LONG // 2
    assert not clock.done()
    clock.cancel()
    await asyncio.wait([clock])


@pytest.fixture
def patient_threads() -> Iterator[None]:
    """Have a thread that computes keep the others waiting."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(10)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("patient_threads")
async def test_who_is_answered_while_the_engine_is_closed_hears_of_it(
    start: Start, long: Path
) -> None:
    """With steps in the pipe that nobody has looked at yet."""
    engine = start(long, window=LONG, parallel=1)
    batches = engine.generate(PROMPT, ENDLESS)
    while not await anext(batches):
        pass
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass
    engine.close()
    rest = asyncio.create_task(collect(batches))
    ended, _ = await asyncio.wait([rest], timeout=10)
    assert ended
    with pytest.raises(EngineError, match="Please try again"):
        await rest


async def test_after_close_there_is_nothing_and_a_request_is_refused(start: Start) -> None:
    engine = start()
    process = newest_process()
    engine.close()
    process.wait(10)
    with pytest.raises(EngineError):
        await collect(engine.generate(PROMPT, greedy(5)))


@pytest.mark.parametrize("end", [psutil.Process.kill, psutil.Process.suspend])
async def test_if_the_process_dies_replies_go_on_in_the_next_one_or_are_said_to_have_ended(
    start: Start,
    long: Path,
    caplog: pytest.LogCaptureFixture,
    end: Callable[[psutil.Process], None],
) -> None:
    engine = start(long, window=LONG, parallel=3, properties=EXACT, watchdog=5.0)
    whole = greedy(600, min_new_tokens=600)
    expected = await collect(engine.generate(PROMPT, whole))

    async def ask(sampling: Sampling, begun: asyncio.Event) -> list[int]:
        given: list[int] = []
        async for ids in engine.generate(PROMPT, sampling):
            given += ids
            if given:
                begun.set()
        return given

    # What it has counts for its penalty, which no other process could know.
    counting = ENDLESS.model_copy(update={"presence_penalty": 0.5})
    all_begun = [asyncio.Event() for _ in range(3)]
    samplings = (whole, whole, counting)
    running = [asyncio.create_task(ask(*one)) for one in zip(samplings, all_begun, strict=True)]
    for begun in all_begun:
        await begun.wait()
    end(newest_process())
    with pytest.raises(EngineError, match="Please try again"):
        await running.pop()
    assert engine.state == "loading"
    assert await asyncio.gather(*running) == [expected, expected]
    assert engine.state == "ready"
    assert "process ended" in caplog.text


async def test_if_the_process_cannot_come_back_the_engine_has_failed(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    engine = start(copy)
    (copy / "openvino_model.xml").write_text("<net/>")
    newest_process().kill()
    async with asyncio.timeout(30):
        while engine.state != "failed":
            await asyncio.sleep(0.05)
    with pytest.raises(EngineError, match="Please try again"):
        await collect(engine.generate(PROMPT, greedy(5)))


def test_a_model_that_cannot_be_loaded_is_one_sentence(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "openvino_model.xml").write_text("<net/>")
    with pytest.raises(ModelError, match="OpenVINO cannot run this model") as caught:
        start(copy)
    assert "\n" not in str(caught.value)
