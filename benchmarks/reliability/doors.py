"""Who asks, at which door: a tab of the page, a client of Gradio, programs of the API."""

import asyncio
import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx2

from benchmarks import client
from benchmarks.client import ReplyError, Tab
from chat.web.page.escape import unescape

#: What is sent so that the same message gets the same reply.
GREEDY: dict[str, Any] = {"temperature": 0}
WAITING = re.compile(r"^Waiting: (\d+) ")
#: How a reply may end that nobody gave up.
ENDINGS = frozenset(("stop", "length"))


class Refused(Exception):
    """A message was not answered; says what was said instead.

    `after` is the seconds after which to ask again, if that was said, and `status` that of HTTP.
    """

    def __init__(self, sentence: str, status: int = 0, after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.after = after


class Empty(Refused):
    """A reply was whole, and had no text."""

    def __init__(self) -> None:
        super().__init__("The reply was empty.")


@dataclass
class Reply:
    """A reply as far as it is there."""

    text: str = ""
    #: When the first of it came, of `time.perf_counter`.
    first: float = 0.0
    #: When each part of it came.
    times: list[float] = field(default_factory=list)
    #: The places in line that were told.
    places: list[int] = field(default_factory=list)
    #: Why it ended, and of how many tokens it is, if that was said.
    ending: str = ""
    tokens: int = 0

    def grow(self, text: str) -> None:
        """Note that it is this now."""
        if text and text != self.text:
            self.times.append(time.perf_counter())
            self.first = self.first or self.times[0]
        self.text = text

    def note(self, line: str) -> None:
        """Note what a status line says."""
        if found := WAITING.match(line):
            self.places.append(int(found[1]))


class Door(Protocol):
    """Somebody at a door, who asks one thing at a time."""

    async def ask(self, message: str, tokens: int, reply: Reply) -> None:
        """Ask for so many tokens, and fill the reply, which has not been there before.

        Raises:
            Refused: it is not answered.
        """
        ...

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Give up what `ask` is doing, the way it is done at this door."""
        ...

    async def close(self) -> None:
        """Leave."""
        ...


class Program:
    """A program that uses the API, with replies as they grow or whole.

    Only what has a text and an end is a reply to it; who gives one up has what came until then.
    """

    def __init__(self, url: str, *, stream: bool, headers: dict[str, str] | None = None) -> None:
        self._stream = stream
        self._client = client_of(url, headers or {})

    async def ask(self, message: str, tokens: int, reply: Reply, **controls: Any) -> None:
        """See `Door`."""
        body = {
            "messages": [{"role": "user", "content": message}],
            "max_tokens": tokens,
            "stream": self._stream,
            **GREEDY,
            **controls,
        }
        async with self._client.stream("POST", "/v1/chat/completions", json=body) as answer:
            if answer.status_code != 200:
                raise _refusal(answer.status_code, answer.headers, await answer.aread())
            if self._stream:
                await self._read(answer, reply)
            else:
                whole = json.loads(await answer.aread())
                choice = whole["choices"][0]
                reply.grow(choice["message"]["content"] or "")
                reply.ending, reply.tokens = choice["finish_reason"] or "", _tokens(whole)
        if reply.ending not in ENDINGS:
            raise Refused(f"The reply ended with {reply.ending or 'nothing'!r}.")
        if not reply.text:
            raise Empty

    async def _read(self, answer: httpx2.Response, reply: Reply) -> None:
        async for line in answer.aiter_lines():
            if line == "data: [DONE]":
                return
            if not line.startswith("data: "):
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                raise Refused(event["error"]["message"])
            reply.tokens = _tokens(event) or reply.tokens
            for choice in event["choices"]:
                reply.grow(reply.text + (choice["delta"].get("content") or ""))
                reply.ending = choice["finish_reason"] or reply.ending
        raise Refused("The stream broke off.")

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Hang up."""
        await hang_up(asking)

    async def close(self) -> None:
        """See `Door`."""
        await self._client.aclose()


class GradioProgram:
    """A program that uses Gradio's `/chat` over HTTP."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        self._client = client_of(url, {})
        self._path = f"{config['api_prefix']}/call/chat"
        parts = {part["id"]: part for part in config["components"]}
        event = next(one for one in config["dependencies"] if one["api_name"] == "chat")
        inputs = (parts[id] for id in event["inputs"])
        self._values = {
            part["props"].get("label"): part["props"].get("value")
            for part in inputs
            if part["type"] != "state"
        }

    async def ask(self, message: str, tokens: int, reply: Reply) -> None:
        """See `Door`."""
        set = {"Message": message, "Max new tokens": tokens, "Temperature": 0}
        data = [*{**self._values, **set}.values()]
        answer = await self._client.post(self._path, json={"data": data})
        if answer.status_code != 200:
            raise _refusal(answer.status_code, answer.headers, answer.content)
        event, path = "", f"{self._path}/{answer.json()['event_id']}"
        async with self._client.stream("GET", path) as stream:
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event == "error":
                    raise Refused(str(json.loads(value)["error"]))
                elif name == "data" and event in ("generating", "complete"):
                    text, _, status = json.loads(value)[:3]
                    reply.note(status)
                    reply.grow(text)
                    if event == "complete":
                        if not reply.text:
                            raise Empty
                        return
        raise Refused("The stream broke off.")

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Hang up."""
        await hang_up(asking)

    async def close(self) -> None:
        """See `Door`."""
        await self._client.aclose()


class Person:
    """A person at the page, who begins each conversation anew."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        self._url, self._config = url, config
        self._tab: Tab | None = None

    async def ask(self, message: str, tokens: int, reply: Reply) -> None:
        """See `Door`."""
        if self._tab:
            self._tab.close()
        self._tab = tab = Tab(self._url, self._config)
        await tab.open()
        tab.set("Max new tokens", tokens)
        tab.set("Temperature", 0)
        watching = asyncio.create_task(_watch(tab, reply))
        try:
            await tab.send(message)
        except ReplyError as error:
            raise Refused(str(error)) from None
        finally:
            watching.cancel()
            _look(tab, reply)

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Click on Stop."""
        if self._tab:
            await self._tab.stop()
        with suppress(Refused):
            await asking

    async def close(self) -> None:
        """See `Door`."""
        if self._tab:
            self._tab.close()


class LostPerson(Person):
    """The same, whose tab vanishes instead of being stopped."""

    async def stop(self, asking: "asyncio.Task[None]") -> None:
        """Be gone, with all connections."""
        await self.close()
        await hang_up(asking)


async def everyone(url: str, count: int) -> list[Door]:
    """Return so many who ask, at all doors alike."""
    config = await client.config(url)
    made: list[Door] = []
    for number in range(count):
        match number % 4:
            case 0:
                made.append(Person(url, config))
            case 1:
                made.append(GradioProgram(url, config))
            case other:
                made.append(Program(url, stream=other == 2))
    return made


def client_of(url: str, headers: dict[str, str], source: str | None = None) -> httpx2.AsyncClient:
    """Return a client that waits as long as it takes, since who uses it has a limit.

    It connects from the address `source` of this machine, or from any.
    """
    limits = httpx2.Limits(max_connections=None)
    transport = httpx2.AsyncHTTPTransport(verify=False, limits=limits, local_address=source)
    return httpx2.AsyncClient(base_url=url, headers=headers, timeout=None, transport=transport)


async def hang_up(asking: "asyncio.Task[None]") -> None:
    """Cancel a task, and wait for its end."""
    asking.cancel()
    with suppress(asyncio.CancelledError, Refused, OSError, httpx2.HTTPError):
        await asking


def _tokens(said: dict[str, Any]) -> int:
    """Return of how many tokens a reply is, if that is said."""
    return int((said.get("usage") or {}).get("completion_tokens", 0))


def _refusal(status: int, headers: Any, body: bytes) -> Refused:
    after = headers.get("retry-after")
    try:
        said = json.loads(body)
        error = said.get("error") or said.get("detail")
        sentence = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        sentence = body.decode(errors="replace")
    return Refused(sentence, status, float(after) if after else None)


async def _watch(tab: Tab, reply: Reply) -> None:
    while True:
        _look(tab, reply)
        await asyncio.sleep(0.01)


def _look(tab: Tab, reply: Reply) -> None:
    reply.grow(unescape(tab.turn.text))
    if tab.turn.updates:
        reply.first = tab.turn.updates[0][0]
        reply.times = [time for time, _ in tab.turn.updates]
    reply.places = [int(found[1]) for found in map(WAITING.match, tab.turn.lines) if found]
