"""chat.engines.openvino.judge and the process in which it has grammars tried."""

import asyncio
import json
import os
import signal as signals
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil
import pytest

from chat import child
from chat.engines.openvino import judge
from chat.engines.openvino.judge import Judge
from chat.engines.openvino.wire import Trials
from chat.errors import EngineError

EASY = {"regex": "(yes)|(no)"}
#: Takes long to compile; with a real vocabulary minutes.
SLOW = {"regex": "((a|b|([^0-9]){0,1})){0,100}y"}
#: Compiles at once, and takes seconds to say which tokens can follow.
SLOW_TO_WRITE = {"regex": "((([a-z]{0,1}|[^0-9]{0,1}|a)){0,3}){0,33}y"}

Make = Callable[..., Judge]


@pytest.fixture(name="make")
def _make(folder: Path) -> Iterator[Make]:
    judges = []
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]

    def make(**limits: Any) -> Judge:
        judges.append(Judge(folder, vocabulary, **limits))
        return judges[-1]

    yield make
    for one in judges:
        one.close()


def trying() -> list[int]:
    return [
        one.pid
        for one in psutil.Process().children()
        if one.status() != psutil.STATUS_ZOMBIE
        and "chat.engines.openvino.trial" in " ".join(one.cmdline())
    ]


def kill(process: int) -> None:
    psutil.Process(process).kill()
    os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)


async def test_what_fits_has_a_size_and_is_tried_once(make: Make) -> None:
    judge = make()
    size = await judge.size(EASY)
    assert size
    [process] = trying()
    psutil.Process(process).kill()
    assert await judge.size(EASY) == size


@pytest.mark.parametrize(
    ("ties", "limits"),
    [
        (SLOW, {"compiling": 0.04}),
        (SLOW_TO_WRITE, {"writing": 0.3}),
        ({"regex": "[a-z]{0,300}"}, {"most_bytes": 1}),
        ({"regex": "("}, {}),
    ],
    ids=["time to compile", "time to write", "memory", "none"],
)
async def test_what_takes_too_much_is_refused_for_good_and_the_next_is_tried(
    make: Make, ties: dict[str, str], limits: dict[str, Any]
) -> None:
    judge = make(**limits)
    little = "compiling" in limits or "writing" in limits
    assert await (verdict(judge, ties) if little else judge.size(ties)) is None
    assert not trying()
    assert await judge.size(ties) is None
    assert not trying()
    if "most_bytes" not in limits:
        assert await verdict(judge, EASY)


async def verdict(judge: Judge, ties: dict[str, str]) -> int | None:
    """Ask until there is one: of so little time a busy machine may have none."""
    for _ in range(20):
        try:
            return await judge.size(ties)
        except EngineError:
            continue
    raise AssertionError("there is none")


async def test_its_process_keeps_no_more_than_so_many_bytes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "GRAMMAR_BYTES", 1)
    one = make()
    processes = []
    for regex in "ab":
        assert await one.size({"regex": regex})
        processes += trying()
    assert len({*processes}) == 2


async def test_it_remembers_no_more_than_so_many_verdicts(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "MOST_VERDICTS", 2)
    one = make()
    for regex in "abc":
        await one.size({"regex": regex})
    kill(*trying())
    assert await one.size({"regex": "c"})
    assert not trying()
    assert await one.size({"regex": "a"})  # tried again, by another one
    assert trying()


async def test_a_process_that_stands_still_is_ended_and_the_next_one_tries(make: Make) -> None:
    judge = make(compiling=0.1, writing=0.1)
    await judge.size(EASY)
    [stopped] = trying()
    psutil.Process(stopped).suspend()
    other = {"regex": "(on)|(off)"}
    async with asyncio.timeout(20):
        with pytest.raises(EngineError, match="Please try again"):
            await judge.size(other)
    assert not psutil.pid_exists(stopped)
    assert await judge.size(other)


@pytest.mark.parametrize("signal", [signals.SIGKILL, signals.SIGALRM])
async def test_one_that_had_too_little_of_a_busy_machine_says_nothing_of_a_grammar(
    make: Make, signal: signals.Signals
) -> None:
    judge = make()
    await judge.size(EASY)
    [process] = trying()
    psutil.Process(process).suspend()
    other = {"regex": "(on)|(off)"}
    asked = asyncio.create_task(judge.size(other))
    await asyncio.sleep(0)
    os.kill(process, signal)
    psutil.Process(process).resume()
    with pytest.raises(EngineError, match="Please try again"):
        await asked
    assert await judge.size(other)


async def test_what_cannot_be_tried_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "openvino_tokenizer.xml").write_text("<net/>")
    one = Judge(tmp_path, 10)
    for _ in range(2):
        with pytest.raises(EngineError, match="Please try again"):
            await one.size(EASY)
    one.close()


async def test_who_waits_when_it_is_closed_is_told_so(make: Make) -> None:
    one = make()
    await one.size(EASY)
    [process] = trying()
    psutil.Process(process).suspend()
    asked = [asyncio.create_task(one.size({"regex": text})) for text in ("b", "c")]
    await asyncio.sleep(0)
    await asyncio.to_thread(one.close)
    told = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in told] == [EngineError, EngineError]


async def test_after_close_nothing_is_left(make: Make) -> None:
    one = make()
    await one.size(EASY)
    one.close()
    assert not trying()


def test_the_process_ends_with_its_server(folder: Path) -> None:
    ours, theirs = Pipe()
    with theirs:
        fd = theirs.fileno()
        process = child.start("chat.engines.openvino.trial", fd, pass_fds=[fd])
    ours.send(Trials(str(folder), 10, 1.0, 1.0, 1))
    assert ours.recv() is None
    ours.close()
    assert process.wait(20) == 0
