"""A program that asks any server by OpenAI's API, streamed: what `client.Tab` is at a page.

A server that wants a key gets what is in OPENAI_API_KEY.
"""

import asyncio
import os
import time
from contextlib import aclosing
from typing import Any

from benchmarks.client import UNDER_WAY, ReplyError, Turn
from benchmarks.wire import Wire

PATH = "/v1/chat/completions"
#: The fields of the page's controls.
FIELDS = {"Max new tokens": "max_tokens", "Seed": "seed"}
#: What is the same for every server, since each has other defaults.
DRAWN: dict[str, object] = {"temperature": 0.7, "top_p": 0.95, "stream": True}


class Program:
    """One program, with one conversation."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        #: Set once the current reply is being written, or has ended.
        self.under_way = asyncio.Event()
        self._wire = _wire(url)
        self._fields = {"model": config["model"], **DRAWN}
        self._messages: list[dict[str, str]] = []

    async def open(self) -> None:
        """See `Tab`; there is nothing to open."""

    def close(self) -> None:
        """Leave."""
        self._wire.close()

    def set(self, label: str, value: object) -> None:
        """Choose what the page's control with this label does."""
        self._fields[FIELDS[label]] = value

    async def send(self, message: str) -> Turn:
        """Send a message; returns once it is answered.

        Raises:
            ReplyError: there was no answer.
        """
        self._messages.append({"role": "user", "content": message})
        self.under_way.clear()
        turn = Turn(time.perf_counter())
        body = {**self._fields, "messages": self._messages}
        try:
            async with aclosing(self._wire.events(PATH, body)) as events:
                async for event in events:
                    turn.grow(turn.text + _new(event), time.perf_counter())
                    if len(turn.updates) == UNDER_WAY:
                        self.under_way.set()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise ReplyError(str(error)) from None
        finally:
            self.under_way.set()
        if not turn.updates:
            raise ReplyError("The reply was empty.")
        self._messages.append({"role": "assistant", "content": turn.text})
        turn.settled = time.perf_counter()
        return turn


async def config(url: str) -> dict[str, Any]:
    """Return the name of the first model that a server has."""
    wire = _wire(url)
    try:
        _, found = await wire.json("/v1/models")
        return {"model": found["data"][0]["id"]}
    except (KeyError, IndexError, TypeError):
        raise ReplyError(f"It names no model: {found}") from None
    finally:
        wire.close()


def _wire(url: str) -> Wire:
    key = os.environ.get("OPENAI_API_KEY")
    return Wire(url, {"Authorization": f"Bearer {key}"} if key else {})


def _new(event: dict[str, Any]) -> str:
    """Return the text that came with an event."""
    if "error" in event:
        raise ReplyError(str(event["error"]))
    choices = event.get("choices") or [{}]  # the last may have the usage alone
    return choices[0].get("delta", {}).get("content") or ""
