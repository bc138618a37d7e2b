"""Requests to a process: what becomes of them when it ends, and of what comes meanwhile."""

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import psutil
import pytest

from chat import child
from chat.core.sampling import Sampling
from chat.engines import line
from chat.engines import remote as module
from chat.engines.remote import BESIDE_OTHERS, ENDINGS, RESTARTS, Remote
from chat.engines.resume import Begun, going_on
from chat.errors import Broken, EngineError, ModelError
from tests.support.batches import collect, first
from tests.support.echo import Ask, Plan

ENDLESS, PLAN = 10**9, Plan()
Start = Callable[..., Remote]


def counted(remote: Remote, job: Ask) -> AsyncGenerator[list[int]]:
    """Have it count down, and go on where the one before has ended."""

    def ask(begun: Begun) -> AsyncGenerator[list[int]]:
        left = begun.ids[-1] - 1 if begun.ids else job.count
        return remote.ask(job._replace(count=left), begun)

    return going_on(ask, Sampling(max_new_tokens=job.count), ())


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    started = []

    def start(plan: Plan = PLAN, **options: Any) -> Remote:
        started.append(Remote("tests.support.echo", plan, "The counting engine", **options).wait())
        return started[-1]

    yield start
    for remote in started:
        remote.close()


def kill(remote: Remote) -> None:
    os.kill(remote.ready, signal.SIGKILL)


def stop(remote: Remote) -> None:
    os.kill(remote.ready, signal.SIGSTOP)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_gets_its_own_ids_in_order(start: Start) -> None:
    remote = start()
    found = await asyncio.gather(*(collect(counted(remote, Ask(0, count))) for count in (5, 1, 9)))
    assert found == [list(range(count, 0, -1)) for count in (5, 1, 9)]


async def test_what_has_begun_goes_on_in_the_next_process(start: Start) -> None:
    remote = start()
    before = remote.ready
    # So many that they cannot be at their end, and few enough to be waited for.
    counts = 30_000, 20_000
    batches = [counted(remote, Ask(0, count)) for count in counts]
    begun = [await first(one) for one in batches]
    kill(remote)
    for count, ids, one in zip(counts, begun, batches, strict=True):
        ids += await collect(one)
        assert ids == list(range(count, 0, -1))
    assert remote.ready != before
    assert remote.state == "ready"


async def test_what_ends_a_service_is_for_its_first_process_alone(start: Start) -> None:
    """As systemd sends it to all of them, of which the first lets replies end."""
    remote = start()
    begun = counted(remote, Ask(0, 20_000))
    ids = await first(begun)
    os.kill(before := remote.ready, signal.SIGTERM)
    assert ids + await collect(begun) == list(range(20_000, 0, -1))
    assert remote.ready == before


async def test_those_that_were_there_hear_that_it_broke(start: Start) -> None:
    remote = start()
    begun = remote.ask(Ask(0, ENDLESS), Begun())
    await first(begun)
    kill(remote)
    with pytest.raises(Broken, match="Please try again"):
        await collect(begun)


async def test_what_kills_every_process_is_given_up_and_the_others_go_on(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    remote = start()
    other = counted(remote, Ask(0, 300_000))
    ids = await first(other)
    with pytest.raises(EngineError, match="Please try again"):
        await collect(counted(remote, Ask(0, 9, deadly=5)))
    async with aclosing(other):
        async for more in other:
            ids += more
            if len(ids) > 1_000:
                break
    assert ids == list(range(300_000, 300_000 - len(ids), -1))
    assert await collect(counted(remote, Ask(0, 2))) == [2, 1]
    assert caplog.text.count("process ended") == ENDINGS, "so many, and no more"


async def test_others_are_with_it_two_times_at_the_most(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    remote = start()
    given: list[int] = []

    async def follow() -> None:
        async for ids in counted(remote, Ask(0, 10**6)):
            given.extend(ids)

    following = asyncio.create_task(follow())
    await until(lambda: bool(given))
    with pytest.raises(EngineError, match="Please try again"):
        await collect(counted(remote, Ask(0, 9, deadly=5)))
    before = len(given)
    await until(lambda: len(given) > before)
    following.cancel()
    assert given == list(range(10**6, 10**6 - len(given), -1))
    assert caplog.text.count("process ended") == BESIDE_OTHERS


async def test_who_asks_while_there_is_no_process_is_answered_by_the_next(start: Start) -> None:
    remote = start()
    kill(remote)
    assert await collect(counted(remote, Ask(0, 4))) == [4, 3, 2, 1]


async def test_if_there_is_no_other_process_everyone_hears_so(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    remote = start(Plan(broken=str(broken)))
    running = counted(remote, Ask(0, ENDLESS))
    await first(running)
    broken.touch()
    kill(remote)
    with pytest.raises(EngineError, match="Please try again"):
        await collect(running)
    assert remote.state == "failed"
    with pytest.raises(EngineError, match="Please try again"):
        await collect(counted(remote, Ask(0, 3)))
    assert "process ended while it was loading" in caplog.text


def test_a_refusal_while_it_loads_is_raised_as_it_is(start: Start) -> None:
    with pytest.raises(ModelError, match=r"^It is too large\.$"):
        start(Plan("It is too large."))


async def test_closing_a_reply_cancels_it(start: Start) -> None:
    remote = start()
    async with aclosing(counted(remote, Ask(0, ENDLESS))) as batches:
        await first(batches)
    process = psutil.Process(remote.ready)
    async with asyncio.timeout(20):
        while process.status() != psutil.STATUS_SLEEPING:
            await asyncio.sleep(0.01)


async def test_closing_tells_who_waits_and_ends_the_process(start: Start) -> None:
    remote = start()
    batches = counted(remote, Ask(0, ENDLESS))
    await first(batches)
    await asyncio.to_thread(remote.close)
    with pytest.raises(EngineError):
        await collect(batches)
    assert not psutil.pid_exists(remote.ready)


@pytest.mark.parametrize("error", [OSError, RuntimeError, MemoryError])
async def test_if_no_other_process_can_be_started_everyone_hears_so(
    start: Start, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """For want of memory, of open files or of threads, for one."""
    remote = start()
    running = counted(remote, Ask(0, ENDLESS))
    await first(running)

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(child, "start", fail)
    kill(remote)
    with pytest.raises(EngineError, match="Please try again"):
        async with asyncio.timeout(20):
            await collect(running)
    assert remote.state == "failed"


async def test_closing_does_not_wait_for_a_process_that_loads(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endless = tmp_path / "endless"
    remote = start(Plan(endless=str(endless)))
    running = counted(remote, Ask(0, ENDLESS))
    await first(running)
    endless.touch()
    kill(remote)
    async with asyncio.timeout(20):
        while endless.exists():  # until the next one loads
            await asyncio.sleep(0.01)
        await asyncio.to_thread(remote.close)
        with pytest.raises(EngineError):
            await collect(running)
    assert "loading" not in caplog.text


async def test_closing_ends_a_process_that_starts_just_now(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = start()
    starting, killed = threading.Event(), threading.Event()
    real_start, real_kill = child.start, subprocess.Popen.kill
    processes = []

    def slowly(*given: Any, **named: Any) -> Any:
        starting.set()
        assert killed.wait(20)
        processes.append(real_start(*given, **named))
        return processes[0]

    def kill_and_say(process: Any) -> None:
        real_kill(process)
        killed.set()

    monkeypatch.setattr(child, "start", slowly)
    kill(remote)
    assert await asyncio.to_thread(starting.wait, 20)
    monkeypatch.setattr(subprocess.Popen, "kill", kill_and_say)
    async with asyncio.timeout(20):
        await asyncio.to_thread(remote.close)
    assert processes[0].returncode == -signal.SIGKILL


async def test_closing_ends_a_process_that_does_nothing_any_more(start: Start) -> None:
    remote = start()
    psutil.Process(remote.ready).suspend()
    async with asyncio.timeout(20):
        await asyncio.to_thread(remote.close)
    assert not psutil.pid_exists(remote.ready)


async def test_who_asks_at_length_does_not_wait_for_the_step_that_runs(
    start: Start, tmp_path: Path
) -> None:
    """All others of the event loop would wait, too."""
    remote, ended = start(), tmp_path / "ended"
    late = threading.Timer(20, ended.touch)
    late.start()
    running = asyncio.create_task(collect(counted(remote, Ask(0, 2, held=str(ended)))))
    await asyncio.sleep(0)
    asked = asyncio.create_task(collect(counted(remote, Ask(0, 3, text="word " * 10**6))))
    await asyncio.sleep(0)
    assert not ended.exists()
    ended.touch()
    late.cancel()
    assert await running == [2, 1]
    assert await asked == [3, 2, 1]


async def test_what_is_stopped_is_killed_and_its_replies_go_on(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    remote = start(watchdog=0.5)
    counts = 30_000, 20_000
    batches = [counted(remote, Ask(0, count)) for count in counts]
    begun = [await first(one) for one in batches]
    stopped = remote.ready
    stop(remote)
    for count, ids, one in zip(counts, begun, batches, strict=True):
        ids += await collect(one)
        assert ids == list(range(count, 0, -1))
    assert not psutil.pid_exists(stopped)
    assert remote.state == "ready"
    assert caplog.text.count("did nothing for") == 1


async def test_who_asks_one_that_stands_still_is_answered_by_the_next(start: Start) -> None:
    remote = start(watchdog=0.5)
    stop(remote)
    assert await collect(counted(remote, Ask(0, 4))) == [4, 3, 2, 1]


@pytest.mark.parametrize("odd", ["stop", "half a message", "nonsense"])
async def test_whatever_stands_in_the_pipe_a_reply_goes_on(
    start: Start, tmp_path: Path, odd: str
) -> None:
    remote, once = start(watchdog=0.5), tmp_path / "once"
    once.touch()
    before = remote.ready
    found = await collect(counted(remote, Ask(0, 5, odd=odd, once=str(once))))
    assert found == [5, 4, 3, 2, 1]
    assert remote.ready != before
    assert not once.exists()


async def test_steps_that_bring_nothing_are_signs_of_life(start: Start) -> None:
    remote = start(watchdog=0.5)
    before = remote.ready
    assert await collect(counted(remote, Ask(0, 2, silent=20))) == [2, 1]
    assert remote.ready == before


async def test_a_step_may_last_as_long_as_the_process_says(start: Start, tmp_path: Path) -> None:
    remote, ended = start(Plan(longest=20.0), watchdog=0.3), tmp_path / "ended"
    before = remote.ready
    threading.Timer(1.5, ended.touch).start()
    assert await collect(counted(remote, Ask(0, 2, held=str(ended)))) == [2, 1]
    assert remote.ready == before


async def test_and_longer_on_a_machine_that_has_much_to_do(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (7.0 * (os.cpu_count() or 1), 0, 0))
    remote, ended = start(Plan(longest=1.0), watchdog=0.3), tmp_path / "ended"
    before = remote.ready
    threading.Timer(2.5, ended.touch).start()
    assert await collect(counted(remote, Ask(0, 2, held=str(ended)))) == [2, 1]
    assert remote.ready == before


async def test_no_one_is_killed_for_doing_nothing_where_there_is_nothing_to_do(
    start: Start,
) -> None:
    remote = start(watchdog=1.5)
    before = remote.ready
    await asyncio.sleep(2)
    assert await collect(counted(remote, Ask(0, 2))) == [2, 1]
    assert remote.ready == before


async def test_without_a_watchdog_one_may_stand_still(start: Start) -> None:
    remote = start(watchdog=0)
    before = remote.ready
    stop(remote)
    asked = asyncio.create_task(collect(counted(remote, Ask(0, 2))))
    await asyncio.sleep(1)
    assert not asked.done()
    os.kill(before, signal.SIGCONT)
    assert await asked == [2, 1]
    assert remote.ready == before


async def test_one_that_never_loads_again_is_killed_and_the_next_answers(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOADING", 0.5)
    monkeypatch.setattr(module, "FACTOR", 0.1)
    endless = tmp_path / "endless"
    remote = start(Plan(endless=str(endless)), watchdog=0.5)
    endless.touch()
    kill(remote)
    assert await collect(counted(remote, Ask(0, 3))) == [3, 2, 1]
    assert not endless.exists()


async def test_a_pipe_that_is_full_holds_up_no_one_else(start: Start) -> None:
    remote = start(watchdog=2.0)
    stop(remote)
    jobs = [Ask(0, 3, text="word " * 200_000) for _ in range(20)]
    asked = [asyncio.create_task(collect(counted(remote, job))) for job in jobs]
    longest, last = 0.0, time.monotonic()
    while not all(one.done() for one in asked):
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    assert [await one for one in asked] == [[3, 2, 1]] * len(jobs)
    assert longest < 1


async def test_who_leaves_while_a_pipe_is_full_waits_for_nothing(start: Start) -> None:
    remote = start(watchdog=0)
    stop(remote)
    batches = [counted(remote, Ask(0, 3, text="word " * 200_000)) for _ in range(4)]
    for one in batches:
        await anext(one)
    begun = time.monotonic()
    for one in batches:
        await one.aclose()
    assert time.monotonic() - begun < 1


async def test_a_reply_goes_on_two_times_and_then_keeps_what_it_has(start: Start) -> None:
    remote = start()
    given: list[int] = []

    async def follow() -> None:
        async for ids in counted(remote, Ask(0, 10**6)):
            given.extend(ids)

    following = asyncio.create_task(follow())
    for _ in range(3):
        before, process = len(given), remote.ready
        await until(lambda before=before: len(given) > before)  # type: ignore[misc]
        assert not following.done()
        kill(remote)
        await until(lambda process=process: remote.ready != process)  # type: ignore[misc]
    with pytest.raises(EngineError, match="Please try again"):
        await following
    assert given == list(range(10**6, 10**6 - len(given), -1))
    assert remote.state == "ready"


async def test_what_ends_too_often_is_not_started_any_more(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    remote = start()
    for _ in range(RESTARTS):
        before = remote.ready
        kill(remote)
        await until(lambda before=before: remote.ready != before)  # type: ignore[misc]
        assert await collect(counted(remote, Ask(0, 1))) == [1]
    kill(remote)
    with pytest.raises(EngineError, match="Please try again"):
        await collect(counted(remote, Ask(0, ENDLESS)))
    await until(lambda: remote.state == "failed")
    assert "once too often" in caplog.text


async def test_what_was_long_ago_is_not_counted(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WITHIN", 0.0)
    remote = start()
    for _ in range(RESTARTS + 1):
        before = remote.ready
        kill(remote)
        await until(lambda before=before: remote.ready != before)  # type: ignore[misc]
    assert await collect(counted(remote, Ask(0, 1))) == [1]


async def test_one_that_cannot_even_be_killed_keeps_nobody_waiting(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that the kernel holds for a driver, until its end."""
    monkeypatch.setattr(line, "GONE", 0.1)
    real_kill = subprocess.Popen.kill
    processes: list[Any] = []
    monkeypatch.setattr(subprocess.Popen, "kill", lambda process: processes.append(process))
    remote = start(watchdog=0.5)
    running = counted(remote, Ask(0, ENDLESS))
    await first(running)
    stop(remote)
    async with asyncio.timeout(20):
        with pytest.raises(EngineError, match="Please try again"):
            await collect(running)
        await asyncio.to_thread(remote.close)
    assert remote.state == "failed"
    real_kill(processes[0])
    processes[0].wait()
