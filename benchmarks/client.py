"""A tab of a browser, as far as a Gradio server can tell: any Gradio chat, without its page.

It keeps the values of the components in the page's `/config`, fires the text
box's `submit`, and follows the chain of events after it as Gradio's own
JavaScript does. Left out is what no chat here uses: events of timers, of states
that change, and of the page being opened.
"""

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from benchmarks.session import EventFailed, Session
from benchmarks.wire import Wire

#: From so many updates on, a reply counts as being written.
UNDER_WAY = 5


class ReplyError(Exception):
    """A message got no reply; says what the server said instead."""


@dataclass
class Turn:
    """One message and its reply, with the times of `time.perf_counter`."""

    sent: float
    #: The time of each update that showed more text, and how many characters were there then.
    updates: list[tuple[float, int]] = field(default_factory=list)
    text: str = ""
    #: What the status line has said, where there is one.
    lines: list[str] = field(default_factory=list)
    #: When the chain of events had ended and the next message could be written.
    settled: float = 0.0
    #: Of events that came meanwhile.
    bytes: int = 0

    def grow(self, text: str, now: float) -> None:
        """Note that the reply is this now."""
        if text and text != self.text:
            self.text = text
            self.updates.append((now, len(text)))


class Tab:
    """One person at one page."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        #: Set once the current reply is being written, or has ended.
        self.under_way = asyncio.Event()
        self.session = Session(url, config)
        parts = config["components"]
        self._events: list[dict[str, Any]] = config["dependencies"]
        self._values = {part["id"]: part["props"].get("value") for part in parts}
        self._labels = {part["props"].get("label"): part["id"] for part in parts}
        self._chatbot = next(part["id"] for part in parts if part["type"] == "chatbot")
        by_name = {part["props"].get("elem_id"): part["id"] for part in parts}
        self._status = by_name.get("status")
        #: Where a reply is while it is written.
        self._live = by_name.get("live", self._chatbot)
        self._submit, self._textbox = next(
            (event, target)
            for event in self._events
            for target, name in event["targets"]
            if name == "submit"
        )
        self._turn = Turn(0.0)
        self._before = 0

    async def open(self) -> None:
        """Tell the server that there is someone."""
        await self.session.open()

    def close(self) -> None:
        """Leave."""
        self.session.close()

    def set(self, label: str, value: Any) -> None:
        """Move the control with this label."""
        self._values[self._labels[label]] = value

    def keeps(self, message: str) -> bool:
        """Whether what was written is there: in the conversation, or still in the text box."""
        said = [_said(entry) for entry in self.history]
        return message in said or self._values[self._textbox] == message

    async def send(self, message: str) -> Turn:
        """Send a message; returns once it is answered and the next can be written.

        Raises:
            ReplyError: there was no answer.
        """
        self._before = len(self._values[self._live] or [])
        self.under_way.clear()
        self.session.notices.clear()
        self._values[self._textbox] = message
        received = self.session.wire.received
        self._turn = turn = Turn(time.perf_counter())
        try:
            answered = await self._fire(self._submit)
        finally:
            self.under_way.set()
        turn.settled = time.perf_counter()
        turn.bytes = self.session.wire.received - received
        if not (answered and turn.updates):
            raise ReplyError("; ".join(self.session.notices) or "The reply was empty.")
        return turn

    @property
    def history(self) -> list[dict[str, Any]]:
        """The conversation, as the browser has it."""
        parts = dict.fromkeys((self._chatbot, self._live))
        return [entry for part in parts for entry in self._values[part] or []]

    @history.setter
    def history(self, messages: list[dict[str, Any]]) -> None:
        self._values[self._chatbot] = messages

    @property
    def turn(self) -> Turn:
        """The last message, and its reply as far as it is there."""
        return self._turn

    async def stop(self) -> None:
        """Click on Stop: the message is still to be waited for."""
        await self.session.cancel()

    async def _fire(self, event: dict[str, Any]) -> bool:
        """Run an event and all that follow it; returns whether none failed."""
        done = not event["backend_fn"] or await self._run(event)
        after = [next for next in self._events if _follows(next, event["id"], done)]
        return all([done, *await asyncio.gather(*map(self._fire, after))])

    async def _run(self, event: dict[str, Any]) -> bool:
        data = [self._values[component] for component in event["inputs"]]
        try:
            async with aclosing(self.session.run(event, data)) as outputs:
                async for now, output in outputs:
                    self._show(event["outputs"], output, now)
        except EventFailed as failed:
            self.session.notices.append(str(failed))
            return False
        return True

    def _show(self, components: list[int], output: list[Any], now: float) -> None:
        """Put an event's output into the components, and note a reply that has grown."""
        for component, value in zip(components, output, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" not in value:
                    continue
                value = value["value"]
            self._values[component] = value
            if component == self._status and value:
                self._turn.lines.append(value)
            if component == self._live and len(value or []) > self._before + 1:
                self._turn.grow(_text(value[-1]), now)
                if len(self._turn.updates) == UNDER_WAY:
                    self.under_way.set()


async def config(url: str) -> dict[str, Any]:
    """Return what a page is made of."""
    wire = Wire(url)
    _, read = await wire.json("/config")
    wire.close()
    return dict(read)


def _follows(event: dict[str, Any], id: int, done: bool) -> bool:
    """Whether `event` comes after the one with `id`, which went well or not."""
    if event["trigger_after"] != id:
        return False
    # Gradio runs a plain `then` after a success, but not after a failure.
    return bool(event["trigger_only_on_failure"]) != done


def _text(entry: dict[str, Any]) -> str:
    """Return the text of a message that is an assistant's."""
    return _said(entry) if entry["role"] == "assistant" else ""


def _said(entry: dict[str, Any]) -> str:
    """Return the text of a message."""
    content = entry["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content if isinstance(part, dict))
