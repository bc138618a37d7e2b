"""Somebody at each door, and what they see of a reply."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from itertools import pairwise
from typing import Any

import httpx2

from benchmarks.client import ReplyError, Tab, config
from benchmarks.gpu.checkpoints import tokenizer
from benchmarks.reliability.echo.app import VOCABULARY
from benchmarks.reliability.faults.tried import PATIENCE, Seen

#: Sends a message, held to a pattern unless that is empty; gives what is seen of the reply.
Door = Callable[[str, str], Coroutine[Any, Any, Seen]]
KEY = "the right key of the echo"


async def patiently(seeing: Coroutine[Any, Any, Seen], seconds: float = PATIENCE) -> Seen | None:
    """Return what is seen, or None if that never ends; of a server that is gone that is nothing."""
    try:
        async with asyncio.timeout(seconds):
            return await seeing
    except TimeoutError:
        return None
    except (httpx2.TransportError, OSError):
        return Seen("", [], 0.0)


class Web:
    """The doors of a page's server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.doors: dict[str, Door] = {
            "page": self.page,
            "API": self.whole,
            "API, streamed": self.streamed,
        }

    async def page(self, message: str, pattern: str = "") -> Seen:
        """Open the page, and write the message there."""
        tab = Tab(self.url, await config(self.url))
        await tab.open()
        if pattern:
            tab.set("Regular expression", pattern)
        began = time.perf_counter()
        try:
            turn = await tab.send(message)
            times, text, notices = [now for now, _ in turn.updates], turn.text, []
        except ReplyError as error:
            times, text, notices = [], "", [str(error)]
        finally:
            tab.close()
        notices += [notice for notice in tab.session.notices if notice not in notices]
        return Seen(text, notices, _longest(began, times), tab.keeps(message))

    async def whole(self, message: str, pattern: str = "") -> Seen:
        """Ask a program's way, for all at once."""
        began = time.perf_counter()
        async with _client(self.url) as client:
            answer = await client.post("/v1/chat/completions", json=_chat(message, pattern))
        said = answer.json()
        if "error" in said:
            return Seen("", [said["error"]["message"]], _longest(began, []))
        return Seen(said["choices"][0]["message"]["content"], [], _longest(began, []))

    async def streamed(self, message: str, pattern: str = "", pause: float = 0.0) -> Seen:
        """Ask a program's way, for events, and wait after the first of them."""
        text, sentences, times = "", list[str](), list[float]()
        began = time.perf_counter()
        asked = {**_chat(message, pattern), "stream": True}
        async for event in _events(self.url, "/v1/chat/completions", asked, pause):
            times.append(time.perf_counter())
            if "error" in event:
                sentences.append(event["error"]["message"])
            else:
                delta = event["choices"][0]["delta"] if event["choices"] else {}
                text += delta.get("content") or ""
        return Seen(text, sentences, _longest(began, times) - pause)

    async def leave(self, message: str) -> bool:
        """Ask for events, go after the first, and return whether that was one of a reply."""
        asked = {**_chat(message, ""), "stream": True}
        async with aclosing(_events(self.url, "/v1/chat/completions", asked)) as events:
            async for event in events:
                return "error" not in event
        return False


class Backend:
    """The door of `python -m chat.backend`: ids in and out."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._tokens = tokenizer(VOCABULARY)
        self.doors: dict[str, Door] = {"backend": self.ask}

    async def ask(self, message: str, pattern: str = "") -> Seen:
        """Ask for events."""
        ids, sentences, times = list[int](), list[str](), list[float]()
        began = time.perf_counter()
        asked: dict[str, Any] = {
            "prompt": self._tokens(message)["input_ids"],
            "stream": True,
            "return_token_ids": True,
        }
        if pattern:
            asked["structured_outputs"] = {"regex": pattern}
        async for event in _events(self.url, "/v1/completions", asked):
            times.append(time.perf_counter())
            if "error" in event:
                sentences.append(event["error"]["message"])
            else:
                ids += event["choices"][0]["token_ids"]
        text = self._tokens.decode(ids, skip_special_tokens=True)
        return Seen(str(text), sentences, _longest(began, times))


def _client(url: str) -> httpx2.AsyncClient:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx2.AsyncClient(base_url=url, timeout=PATIENCE, headers=headers)


def _chat(message: str, pattern: str) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": message}]}
    return {**body, "regex": pattern} if pattern else body


async def _events(
    url: str, path: str, asked: dict[str, Any], pause: float = 0.0
) -> AsyncGenerator[dict[str, Any]]:
    """Yield the events of an answer; of one that is refused its error, as if it were one."""
    async with _client(url) as client, client.stream("POST", path, json=asked) as answer:
        if answer.status_code != 200:
            yield json.loads(await answer.aread())
            return
        with suppress(httpx2.RemoteProtocolError):  # it broke off
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))
                    await asyncio.sleep(pause)
                    pause = 0.0


def _longest(began: float, times: list[float]) -> float:
    """Return the longest time between two of these, the first and now."""
    every = [began, *times, time.perf_counter()]
    return max(after - before for before, after in pairwise(every))
