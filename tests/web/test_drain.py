"""chat.web.drain: SIGTERM, to a page in a process of its own."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from gradio_client import Client

from chat.core.gate import Gate
from chat.web import drain
from chat.web.drain import Drain
from tests.support.paged import paged

COUNTED = [f"{number:09}" for number in range(1, 21)]


def body(message: str, *, stream: bool = False) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": message}], "stream": stream}


def told(lines: Iterator[str]) -> str:
    """Return the text of the rest of a stream."""
    text = ""
    for line in lines:
        if line.startswith("data: {"):
            delta = json.loads(line[6:])["choices"][0]["delta"]
            text += delta.get("content") or ""
    return text


def test_replies_end_while_no_new_one_is_begun_and_then_the_server_does() -> None:
    with paged("--drain-seconds=30") as (url, process):
        client = Client(url, verbose=False)
        page = client.submit("Count to 20", api_name="/chat")
        next(iter(page))
        with httpx.stream(
            "POST", f"{url}v1/chat/completions", json=body("Count to 20", stream=True)
        ) as running:
            lines = running.iter_lines()
            assert any("0000" in line for line in lines)
            process.terminate()
            health = httpx.get(f"{url}health")
            while health.status_code == 200:
                health = httpx.get(f"{url}health")
            assert (health.status_code, health.json()) == (503, {"status": "draining"})
            assert httpx.get(f"{url}live").status_code == 200
            assert "fourbit_draining 1" in httpx.get(f"{url}metrics").text
            refused = httpx.post(f"{url}v1/chat/completions", json=body("Hi"))
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert "is being stopped" in refused.json()["error"]["message"]
            sentence = Client(url, verbose=False).submit("Hi", api_name="/chat")
            with pytest.raises(Exception, match="is being stopped, and begins no new replies"):
                sentence.result(timeout=20)
            assert told(lines).split()[-1] == COUNTED[-1]
        assert page.result(timeout=20)[0].split() == COUNTED
        assert process.wait(timeout=20) == 0


def test_who_waits_in_line_is_refused_and_the_one_before_gets_all() -> None:
    with paged("--drain-seconds=30") as (url, process):
        clients = [Client(url, verbose=False) for _ in range(9)]
        jobs = [client.submit("Count to 20", api_name="/chat") for client in clients[:8]]
        for job in jobs:
            next(iter(job))
        waiting = clients[8].submit("Count to 20", api_name="/chat")
        assert "Waiting" in next(iter(waiting))[1]
        process.terminate()
        with pytest.raises(Exception, match="is being stopped"):
            waiting.result(timeout=20)
        assert [job.result(timeout=20)[0].split() for job in jobs] == [COUNTED] * 8


def test_with_nothing_to_write_it_ends_at_once() -> None:
    with paged("--drain-seconds=600") as (_, process):
        process.terminate()
        assert process.wait(timeout=20) in (0, 130)  # or interrupted just before it waits for that


@contextmanager
def draining(gate: Gate) -> Iterator[list[bool]]:
    """Take SIGTERM for a gate; gives what has been hurried."""
    hurried: list[bool] = []
    before = signal.getsignal(signal.SIGTERM)
    Drain(gate, 600, lambda: hurried.append(True))
    try:
        yield hurried
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_page_that_is_only_open_keeps_nothing_from_ending() -> None:
    with draining(Gate(1, 0)) as hurried, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    assert hurried, "its connection would be waited for"


def test_who_is_on_the_way_to_the_line_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drain, "CALM", 0.0)
    gate = Gate(1, 0)
    with draining(gate) as hurried:
        with gate.coming():
            signal.raise_signal(signal.SIGTERM)
            assert gate.shut
            assert not hurried
        with pytest.raises(KeyboardInterrupt):
            wait()
    assert hurried


def test_who_has_just_been_answered_is_left_the_time_to_fetch_it() -> None:
    gate = Gate(1, 0)
    with gate.enter():
        pass
    with draining(gate) as hurried:
        signal.raise_signal(signal.SIGTERM)
        assert gate.shut
        assert not hurried
        with pytest.raises(KeyboardInterrupt):
            wait()
    assert hurried


def wait() -> None:
    for _ in range(400):  # one long sleep would not be interrupted
        time.sleep(0.05)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_told_twice_or_by_ctrl_c_it_waits_for_nothing(second: signal.Signals) -> None:
    with paged("--drain-seconds=600") as (url, process):
        job = Client(url, verbose=False).submit("Count to 5000", api_name="/chat")
        next(iter(job))
        process.terminate()
        while httpx.get(f"{url}health").status_code == 200:
            pass
        process.send_signal(second)
        assert process.wait(timeout=20) == 0


def test_it_waits_no_longer_than_it_may() -> None:
    with paged("--drain-seconds=1") as (url, process):
        job = Client(url, verbose=False).submit("Count to 5000", api_name="/chat")
        next(iter(job))
        start = time.monotonic()
        process.terminate()
        assert process.wait(timeout=20) == 0
        assert 1 <= time.monotonic() - start < 5
        assert process.stdout
        assert "Traceback" not in process.stdout.read(), "who is cut off is no fault"
