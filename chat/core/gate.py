"""One gate on the model: so many replies at once, the others in line, first come, first served.

Page and API pass the same gate, so nobody jumps the queue by another door.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from chat.core.engine import TICK
from chat.errors import Draining, QueueFull


class Gate:
    """Lets `parallel` people in at once and up to `max_waiting` wait; for one event loop."""

    def __init__(self, parallel: int, max_waiting: int) -> None:
        self._parallel = parallel
        self._max_waiting = max_waiting
        self._tickets: list[Ticket] = []
        #: Whether nobody is let in any more.
        self.shut = False

    @property
    def inside(self) -> int:
        """How many replies are being written."""
        return min(self.size, self._parallel)

    @property
    def waiting(self) -> int:
        """How many people are not let in yet."""
        return self.size - self.inside

    @property
    def size(self) -> int:
        """How many people are in or waiting."""
        return len(self._tickets)

    def check(self) -> None:
        """Raise QueueFull if no place is left, or Draining if there is no line any more."""
        if self.shut:
            raise Draining
        if self.size >= self._parallel + self._max_waiting:
            raise QueueFull(
                f"The queue is full: {self.size} people are being answered or waiting. "
                "Please try again in a moment."
            )

    @contextmanager
    def enter(self) -> Iterator["Ticket"]:
        """Take a place in line, and give it back at the end.

        Raises:
            QueueFull: no place is left.
            Draining: there is no line any more.
        """
        self.check()
        ticket = Ticket(self)
        self._tickets.append(ticket)
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            for other in self._tickets:
                other.moved.set()

    def place(self, ticket: "Ticket") -> int:
        """Return the ticket's place in line, from 1; 0 or less is in."""
        return self._tickets.index(ticket) + 1 - self._parallel


class Ticket:
    """A place in line."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self.moved = asyncio.Event()

    @property
    def place(self) -> int:
        """1 for the next one in; 0 for who is in."""
        return max(0, self._gate.place(self))

    async def wait(self) -> None:
        """Wait until the line moves, at most for one tick.

        Raises:
            Draining: it does not move any more.
        """
        if self._gate.shut:
            raise Draining
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK):
                await self.moved.wait()
        self.moved.clear()
