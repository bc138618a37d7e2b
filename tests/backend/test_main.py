"""`python -m chat.backend` as a supervisor starts it; the last tests with the embedded model."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from chat.core.sampling import Sampling
from chat.load import load
from chat.settings import Settings
from tests.support.batches import collect
from tests.support.ports import free_port
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
PROMPT = list(range(100, 160))
GREEDY = {"temperature": 0, "return_token_ids": True, "repetition_penalty": 1}
LONG = {"max_tokens": 4000, "min_tokens": 4000}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chat.backend", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_help_has_the_settings_and_a_wrong_one_is_one_sentence() -> None:
    shown = run("--help").stdout
    assert "--engine" in shown
    assert "--threads" in shown
    assert "status 70" in shown
    wrong = run("--temperature", "hot")
    assert wrong.returncode == 1
    assert re.fullmatch(r"Fourbit Chat: [^\n]*--temperature[^\n]*\n", wrong.stderr)
    assert run("--nonsense").returncode == 2
    for more in ([], ["--check", "embedded"]):
        again = run("--engine", "server", "--server-url", "http://127.0.0.1:9", *more)
        assert again.stderr == (
            "Fourbit Chat: The backend runs a model itself; choose another engine than server.\n"
        )


def test_a_model_that_is_not_there_ends_it_with_one_sentence() -> None:
    ended = run("--model", "./nowhere", "--server-port", str(free_port()))
    assert ended.returncode == 1
    assert "There is no folder or .gguf file ./nowhere." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_page_is_imported() -> None:
    program = (
        "import sys, chat.backend.__main__, chat.backend.app, chat.load;"
        "sys.exit(str({'gradio', 'torch'} & sys.modules.keys() or ''))"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == ""


class Running(NamedTuple):
    """The backend in a process of its own."""

    process: "subprocess.Popen[str]"
    url: str

    def engine(self) -> psutil.Process:
        """Return the process of its engine."""
        children = psutil.Process(self.process.pid).children()
        (engine,) = (one for one in children if "batcher" in cmdline(one))
        return engine

    @asynccontextmanager
    async def streaming(self, **fields: Any) -> AsyncGenerator[AsyncGenerator[Any]]:
        """Ask for a stream; gives the data of its events as they come."""
        body = {"prompt": PROMPT, "stream": True, **GREEDY, **fields}
        async with (
            httpx.AsyncClient(timeout=60) as client,
            client.stream("POST", f"{self.url}/v1/completions", json=body) as answer,
        ):
            assert answer.status_code == 200

            async def data() -> AsyncGenerator[Any]:
                async for line in answer.aiter_lines():
                    if line.startswith("data: "):
                        event = line.removeprefix("data: ")
                        yield event if event == "[DONE]" else json.loads(event)

            yield data()


@contextmanager
def started(*flags: str) -> Iterator[Running]:
    port = str(free_port())
    command = [sys.executable, "-u", "-m", "chat.backend", "--model", "embedded", *flags]
    with subprocess.Popen(
        [*command, "--server-port", port], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        backend = Running(process, f"http://127.0.0.1:{port}")
        try:
            until(lambda: answers(backend, "/live") == 200, 60)
            until(lambda: answers(backend, "/health") == 200, 120)
            yield backend
        finally:
            process.kill()


def answers(backend: Running, path: str) -> int | None:
    assert backend.process.poll() is None
    try:
        return httpx.get(backend.url + path).status_code
    except httpx.TransportError:
        return None


@pytest.fixture
def backend(embedded_model: Path) -> Iterator[Running]:
    with started("--drain-seconds", "60") as backend:
        yield backend


def given(events: list[Any]) -> list[int]:
    return [id for one in events if one != "[DONE]" for id in one["choices"][0]["token_ids"]]


def orphans() -> list[psutil.Process]:
    """Return the engines' processes that nobody asks any more."""
    return [one for one in psutil.process_iter() if one.ppid() == 1 and "batcher" in cmdline(one)]


def cmdline(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


async def test_replies_are_the_engines_and_streams_break_off_with_it(backend: Running) -> None:
    async with backend.streaming(max_tokens=40) as events:
        found = [event async for event in events]
    assert found[-1] == "[DONE]"
    chat = load(Settings(model="embedded"))
    sampling = Sampling(max_new_tokens=40, temperature=0, repetition_penalty=1)
    assert given(found) == await collect(chat.engine.generate(PROMPT, sampling))
    chat.engine.close()

    engine = backend.engine()
    async with backend.streaming(**LONG) as one, backend.streaming(**LONG) as other:
        await anext(one)
        await anext(other)
        engine.kill()
        killed = time.monotonic()
        for stream in (one, other):
            with pytest.raises(httpx.TransportError):
                assert [event async for event in stream if event == "[DONE]" or "error" in event]
    assert backend.process.wait(timeout=10) == os.EX_SOFTWARE
    assert time.monotonic() - killed < 2
    # Nor is there another one, which loads to the end.
    until(lambda: not orphans(), seconds=1)


async def test_sigterm_lets_replies_end_and_nobody_in(backend: Running) -> None:
    async with backend.streaming(max_tokens=400, min_tokens=400) as events:
        await anext(events)
        backend.process.send_signal(signal.SIGTERM)
        async with httpx.AsyncClient(base_url=backend.url) as client:
            while (await client.get("/health")).status_code == 200:
                await asyncio.sleep(0.01)
            refused = await client.post("/v1/completions", json={"prompt": PROMPT, **GREEDY})
            assert refused.status_code == 503
            assert "retry-after" in refused.headers
            assert (await client.get("/live")).status_code == 200
        *_, last, done = [event async for event in events]
    assert last["choices"][0]["finish_reason"] == "length"
    assert done == "[DONE]"
    assert backend.process.wait(timeout=10) == 0


async def test_a_second_one_ends_it_at_once(backend: Running) -> None:
    engine = backend.engine()
    async with backend.streaming(**LONG) as events:
        await anext(events)
        backend.process.send_signal(signal.SIGTERM)
        while answers(backend, "/health") == 200:
            await asyncio.sleep(0.01)
        backend.process.send_signal(signal.SIGTERM)
        assert backend.process.wait(timeout=2) == 130
    until(lambda: not engine.is_running(), seconds=5)
