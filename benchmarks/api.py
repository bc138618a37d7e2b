"""A program that asks any server by OpenAI's API, streamed: what `client.Tab` is at a page."""

import asyncio
import os
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from urllib.parse import urlsplit

from benchmarks import drawn
from benchmarks.client import UNDER_WAY, ReplyError, Turn
from benchmarks.wire import Wire, sentence

#: The variables that hold a key, for our API and for another; the first that is set counts.
OUR_KEYS = ("OPENAI_API_KEY",)
THEIR_KEYS = ("AGAINST_API_KEY", *OUR_KEYS)
#: The fields of the page's controls, with other names that some servers have for them.
FIELDS = {
    "Max new tokens": ("max_tokens",),
    "Min new tokens": ("min_tokens",),
    "Temperature": ("temperature",),
    "Top-p": ("top_p",),
    "Top-k": ("top_k",),
    "Min-p": ("min_p",),
    "Repetition penalty": ("repetition_penalty", "repeat_penalty"),
    "Seed": ("seed",),
}
#: What is left out for a server that refuses it: nothing, then what our API does by `min_tokens`
#: alone, then all that is not OpenAI's.
WITHOUT = (
    (),
    ("ignore_eos",),
    ("ignore_eos", "min_tokens", "top_k", "min_p", *FIELDS["Repetition penalty"]),
)
#: The statuses by which servers refuse a field.
REFUSED = (400, 422)
#: How a reply ends that is whole, or as long as it may be.
WHOLE = ("stop", "length", "eos_token")


class Program:
    """One program, with one conversation; `config` is what `meet` has found."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        #: Set once the current reply is being written, or has ended.
        self.under_way = asyncio.Event()
        self._wire = _wire(url, config)
        self._without = config.get("without", ())
        self._fields = {"model": config["model"], "stream": True}
        self._messages: list[dict[str, str]] = []

    async def open(self) -> None:
        """Connect, as clients do that ask more than once."""
        await self._wire.connect()

    def close(self) -> None:
        """Leave."""
        self._wire.close()

    def set(self, label: str, value: Any) -> None:
        """Choose what the page's control with this label does."""
        if label == "System prompt":
            self._messages.insert(0, {"role": "system", "content": value})
        else:
            self._fields |= dict.fromkeys(FIELDS[label], value)

    async def send(self, message: str) -> Turn:
        """Send a message; returns once it is answered.

        Raises:
            ReplyError: there was no answer, or not all of it.
        """
        self._messages.append({"role": "user", "content": message})
        self.under_way.clear()
        body, said, end = self._body(), "", None
        turn = Turn(time.perf_counter())
        try:
            async with aclosing(self._wire.events("/chat/completions", body)) as events:
                async for event in events:
                    choice = _choice(event)
                    end = choice.get("finish_reason") or end
                    thought, text = _new(choice.get("delta") or {})
                    said += text
                    turn.grow(turn.text + thought + text, time.perf_counter())
                    if len(turn.updates) == UNDER_WAY:
                        self.under_way.set()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise ReplyError(str(error)) from error
        finally:
            self.under_way.set()
        if end not in WHOLE:
            raise ReplyError(f"The reply was cut: its end was {end}.")
        if not turn.updates:
            raise ReplyError("The reply was empty.")
        # Thoughts are no part of a conversation; but some servers refuse what says nothing.
        self._messages.append({"role": "assistant", "content": said or turn.text})
        turn.settled = time.perf_counter()
        return turn

    def _body(self) -> dict[str, Any]:
        fields = dict(self._fields)
        if "min_tokens" in fields and fields["min_tokens"] == fields.get("max_tokens"):
            fields["ignore_eos"] = True
        taken = {name: value for name, value in fields.items() if name not in self._without}
        return {**taken, "messages": self._messages}


async def meet(url: str, model: str = "", keys: Sequence[str] = OUR_KEYS) -> dict[str, Any]:
    """Say hello to a server, which warms it up; return what a `Program` has to know of it.

    That is the model, the first that it has unless one is named, and the fields that it refuses.

    Raises:
        ReplyError: it did not answer.
    """
    config: dict[str, Any] = {"model": model, "keys": [*keys]}
    config["model"] = model or await _first_model(url, config)
    for without in WITHOUT:
        config["without"] = [*without]
        try:
            await _hello(Program(url, config))
            break
        except ReplyError as error:
            status = getattr(error.__cause__, "status", 0)
            if status not in REFUSED or without == WITHOUT[-1]:
                raise
    return config


def base(address: str) -> str:
    """Return where an API is: as it is named, or at /v1 where no path is.

    Raises:
        ValueError: it is no address.
    """
    url = urlsplit(address if "://" in address else f"http://{address}")
    if url.scheme not in ("http", "https") or not url.hostname or url.port == 0:
        raise ValueError(f"{address!r} is no address like http://127.0.0.1:8080/v1")
    return f"{url.scheme}://{url.netloc}{url.path.rstrip('/') or '/v1'}"


async def _hello(program: Program) -> None:
    for label, value in drawn.controls(tokens=8).items():
        program.set(label, value)
    try:
        await program.send("Hello!")
    finally:
        program.close()


async def _first_model(url: str, config: dict[str, Any]) -> str:
    wire = _wire(url, config)
    try:
        status, found = await wire.json("/models")
    except (OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise ReplyError(str(error)) from None
    finally:
        wire.close()
    try:
        return str(found["data"][0]["id"])
    except (KeyError, IndexError, TypeError):
        said = f"{url}/models answered {status}: {sentence(found)}"
        raise ReplyError(f"It names no model; {said}") from None


def _wire(url: str, config: dict[str, Any]) -> Wire:
    key = next(filter(None, map(os.environ.get, config.get("keys", OUR_KEYS))), None)
    return Wire(url, {"Authorization": f"Bearer {key}"} if key else {})


def _choice(event: dict[str, Any]) -> dict[str, Any]:
    """Return the part of the reply that came with an event; the last may have the usage alone."""
    if event.get("error"):
        raise ReplyError(sentence(event))
    return dict((event.get("choices") or [{}])[0])


def _new(delta: dict[str, Any]) -> tuple[str, str]:
    """Return what is new of the thought and of what is said."""
    thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
    return thought, delta.get("content") or ""
