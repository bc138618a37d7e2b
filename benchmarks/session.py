"""Gradio's protocol: one event of a page, sent as a browser sends it.

Events with `queue=False` are a request to `run/predict`. Others join the queue
at `queue/join`, and what becomes of them comes through the stream `queue/data`,
one for all events of a session, open while there are any. Their first output
is whole, later ones are differences to the one before, the last is whole again.
"""

import asyncio
import secrets
import time
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from benchmarks.wire import Wire

#: An event's output, with the time of `time.perf_counter` at which it came.
Output = tuple[float, list[Any]]


class EventFailed(Exception):
    """The server could not run an event; says what it said."""


class Session:
    """What a server knows a tab by."""

    def __init__(self, url: str, config: dict[str, Any]) -> None:
        #: What the page showed as notices.
        self.notices: list[str] = []
        self.wire = Wire(url)
        self._api = config["api_prefix"]
        self._heartbeat = config["connect_heartbeat"]
        self._hash = secrets.token_hex(5)
        self._messages: defaultdict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self._listener: asyncio.Task[None] | None = None
        #: The functions of the events that are in the queue, by their ids.
        self._queued: dict[str, int] = {}

    async def open(self) -> None:
        """Tell the server that there is someone, as a page does that has states."""
        if self._heartbeat:
            await self.wire.hold(f"{self._api}/heartbeat/{self._hash}")

    def close(self) -> None:
        """Leave."""
        if self._listener:
            self._listener.cancel()
        self.wire.close()

    async def cancel(self) -> None:
        """End the events that are in the queue."""
        for id, function in [*self._queued.items()]:
            body = {"session_hash": self._hash, "event_id": id, "fn_index": function}
            await self.wire.json(f"{self._api}/cancel", body)

    async def run(self, event: dict[str, Any], data: list[Any]) -> AsyncGenerator[Output]:
        """Run an event on its inputs and yield its outputs, each as a whole.

        Raises:
            EventFailed: the server refused it, or failed on the way.
        """
        body = {"fn_index": event["id"], "session_hash": self._hash, "data": data}
        body |= {"trigger_id": None, "event_data": None}
        door = "queue/join" if event["queue"] else "run/predict"
        status, answer = await self.wire.json(f"{self._api}/{door}", body)
        if status != 200:
            raise EventFailed(str(answer.get("error") or answer.get("detail") or answer))
        if not event["queue"]:
            yield time.perf_counter(), answer["data"]
            return
        id = answer["event_id"]
        self._queued[id] = event["id"]
        messages = self._messages[id]
        if not self._listener or self._listener.done():
            self._listener = asyncio.create_task(self._listen())
        try:
            async for output in self._outputs(messages):
                yield output
        finally:
            del self._messages[id], self._queued[id]

    async def _outputs(self, messages: asyncio.Queue[Any]) -> AsyncGenerator[Output]:
        shown: list[Any] | None = None
        while True:
            now, message = await messages.get()
            kind, output = message["msg"], message.get("output") or {}
            if kind == "log":
                self.notices.append(message["log"])
            elif kind not in ("process_generating", "process_completed"):
                continue
            elif not message["success"]:
                raise EventFailed(str(output.get("error")))
            elif kind == "process_completed":
                if output:  # it was not cancelled
                    yield now, output["data"]
                return
            else:
                shown = output["data"] if shown is None else changed(shown, output["data"])
                yield now, shown

    async def _listen(self) -> None:
        """Pass the messages of the stream on to their events, as long as there are any."""
        try:
            while self._messages:  # one may have joined while the server closed the stream
                stream = self.wire.events(f"{self._api}/queue/data?session_hash={self._hash}")
                async with aclosing(stream):
                    async for message in stream:
                        now = time.perf_counter()
                        if message["msg"] == "close_stream":
                            break
                        if id := message.get("event_id"):
                            self._messages[id].put_nowait((now, message))
                await asyncio.sleep(0)  # lets events that have ended take their leave
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            failed = {"msg": "process_completed", "success": False, "output": {"error": error}}
            for messages in self._messages.values():
                messages.put_nowait((time.perf_counter(), failed))


def changed(shown: Any, differences: list[Any]) -> Any:
    """Apply to each output the edits that came for it."""
    for place, edits in enumerate(differences):
        for action, path, value in edits:
            steps, target = [place, *path], shown
            for step in steps[:-1]:
                target = target[step]
            last = steps[-1]
            if action == "append":
                target[last] += value
            elif action == "delete":
                del target[last]
            elif action == "add" and isinstance(target, list):
                target.insert(last, value)
            else:
                target[last] = value
    return shown
