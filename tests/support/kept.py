"""Replies that outlast whoever listens, and who listens to them, step by step."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from chat.core.gate import NOBODYS, Gate
from chat.core.kept import Kept, Replies, Timer
from chat.core.shares import Share
from tests.support.waiting import settle


class Clock:
    """Calls what is to be called later when it is told that the time has come."""

    def __init__(self) -> None:
        self.waiting: list[Call] = []

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self.waiting.append(Call(self, seconds, call))
        return self.waiting[-1]

    def strike(self) -> None:
        """Let all the time pass that is waited for."""
        due, self.waiting = self.waiting, []
        for call in due:
            call.call()


class Call:
    def __init__(self, clock: Clock, seconds: float, call: Callable[[], None]) -> None:
        self.clock, self.seconds, self.call = clock, seconds, call

    def cancel(self) -> None:
        if self in self.clock.waiting:
            self.clock.waiting.remove(self)


class Story:
    """A reply that goes on when it is told to, inside a gate."""

    def __init__(self, gate: Gate | None = None, share: Share = NOBODYS) -> None:
        self.gate = gate or Gate(9, 9)
        self.share = share
        self.parts: asyncio.Queue[Any] = asyncio.Queue()
        self.inside = self.closed = False

    async def tell(self) -> AsyncGenerator[bytes]:
        try:
            with self.gate.enter(self.share) as ticket:
                while ticket.place:
                    await ticket.wait()
                self.inside = True
                while (part := await self.parts.get()) is not None:
                    if isinstance(part, Exception):
                        raise part
                    yield part
        finally:
            self.inside, self.closed = False, True

    def go_on(self, *parts: Any) -> None:
        for part in parts:
            self.parts.put_nowait(part)


class Listener:
    """Follows a reply until it leaves."""

    def __init__(self, reply: Kept[bytes], after: int = 0, *, alone: bool = False) -> None:
        self.heard: list[tuple[int, bytes]] = []
        self.task = asyncio.create_task(self._listen(reply, after, alone))

    async def _listen(self, reply: Kept[bytes], after: int, alone: bool) -> None:
        async with aclosing(reply.follow(after, alone=alone)) as items:
            async for item in items:
                self.heard.append(item)

    async def leave(self) -> None:
        self.task.cancel()
        await settle()


def replies(clock: Clock, gate: Gate | None = None, **more: Any) -> Replies[bytes]:
    return Replies(gate or Gate(9, 9), 60, len, later=clock.later, **more)


@contextmanager
def waits(gate: Gate) -> Iterator[None]:
    """Somebody is in line who is there."""
    with gate.enter():
        yield
