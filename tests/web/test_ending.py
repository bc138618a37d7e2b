"""chat.web.ending: a process ends with its engine, and leaves nothing behind."""

import asyncio
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest
from gradio_client import Client

from chat.core.engine import State
from chat.core.gate import Gate
from chat.web import ending
from chat.web.ending import end_with
from tests.support.fakes import ScriptedEngine
from tests.support.paged import paged
from tests.support.waiting import until


class Closed(ScriptedEngine):
    """Takes some time to close."""

    seconds = 0.0
    closed = False

    def close(self) -> None:
        time.sleep(self.seconds)
        self.closed = True


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With which status the process would have ended."""
    found: list[int] = []
    monkeypatch.setattr(os, "_exit", found.append)
    return found


@pytest.mark.parametrize("state", ["loading", "failed"])
def test_it_ends_when_the_engine_is_no_more(left: list[int], state: State) -> None:
    engine = Closed()
    end_with(engine)
    time.sleep(3 * ending.PAUSE)
    assert left == []
    engine.state = state
    until(lambda: left, seconds=1)
    assert left == [os.EX_SOFTWARE]
    assert engine.closed


def test_one_that_cannot_be_closed_does_not_hold_it(
    left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "PATIENCE", 0.1)
    engine = Closed()
    engine.seconds, engine.state = 3.0, "loading"
    end_with(engine)
    until(lambda: left, seconds=2)
    assert not engine.closed


def test_no_thread_of_it_keeps_the_process_alive(left: list[int]) -> None:
    engine = Closed()
    before = set(threading.enumerate())
    end_with(engine)
    [watching] = set(threading.enumerate()) - before
    assert watching.daemon
    engine.state = "failed"
    until(lambda: left, seconds=2)


def test_told_to_end_it_does_not_wait_for_who_works_for_nobody() -> None:
    """But does what is to be done at an end, as to send what is measured."""
    program = (
        "import atexit, time\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from chat.web.ending import end_now\n"
        "atexit.register(print, 'sent', flush=True)\n"
        "ThreadPoolExecutor().submit(time.sleep, 60)\n"
        "end_now()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout == "sent\n"


async def test_people_are_told_before_it_ends(
    left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "CALM", 0.1)
    engine, gate = Closed(), Gate(1, 1)
    with gate.enter():
        end_with(engine, gate)
        engine.state = "loading"
        await asyncio.sleep(3 * ending.PAUSE)
        assert not engine.closed, "it may get well again"
        engine.state = "failed"
        await asyncio.sleep(3 * ending.PAUSE)
        assert left == []
    await asyncio.to_thread(until, lambda: left, seconds=2)
    assert left == [os.EX_SOFTWARE]


async def test_who_never_leaves_does_not_hold_it(
    left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "FAREWELL", 0.1)
    monkeypatch.setattr(ending, "CALM", 0.1)
    engine, gate = Closed(), Gate(1, 1)
    engine.state = "failed"
    with gate.enter():
        end_with(engine, gate)
        await asyncio.to_thread(until, lambda: left, seconds=2)


def test_a_page_whose_engine_has_failed_tells_everyone_and_ends() -> None:
    with paged() as (url, process):
        page = Client(url, verbose=False).submit("Count to 200", api_name="/chat")
        next(iter(page))
        assert httpx.get(f"{url}health").status_code == 200
        body = {"messages": [{"role": "user", "content": "Fail for good"}]}
        failed = httpx.post(f"{url}v1/chat/completions", json=body)
        assert failed.status_code == 500
        assert "Please try again" in failed.json()["error"]["message"]
        health = httpx.get(f"{url}health")
        assert (health.status_code, health.json()) == (503, {"status": "failed"})
        with pytest.raises(Exception, match="Please try again"):
            page.result(timeout=20)
        assert process.wait(timeout=20) == os.EX_SOFTWARE
