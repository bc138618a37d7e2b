"""One gate on the model: so many replies at once, the others in line, first come, first served.

Page and API pass the same gate, so nobody jumps the queue by another door. Who has several in line
has one after the other let in: each goes to the end once the one before it is in (round robin). And
who shares with others has one more let in only if there is room for more than they have in already:
so one has half of it at the most, another half of what is left, and whoever comes next need not
wait for the end of a long reply. A reply that goes on while nobody listens (`chat.core.kept`) takes
nobody's place: it ends once it is in the way.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from itertools import count
from typing import Protocol

from chat.core.engine import TICK
from chat.core.shares import Share
from chat.errors import Draining, QueueFull

#: The share of whoever stands in line for themselves alone.
NOBODYS = Share()


class Outlasting(Protocol):
    """A reply that goes on for a while when nobody listens."""

    @property
    def alone(self) -> float | None:
        """Since when nobody listens to it, on a clock; None while somebody does."""
        ...

    @property
    def ended(self) -> bool:
        """Whether it was ended, and leaves as soon as it can."""
        ...

    def end(self) -> None:
        """End it."""
        ...


#: The reply that a task writes, if it is one of these.
outlasting: ContextVar[Outlasting | None] = ContextVar("outlasting", default=None)


class Gate:
    """Lets `parallel` people in at once and up to `max_waiting` wait; for one event loop."""

    def __init__(self, parallel: int, max_waiting: int) -> None:
        self._parallel = parallel
        self._max_waiting = max_waiting
        #: Those who are in, and after them the others by their turns.
        self._tickets: list[Ticket] = []
        self._inside = 0
        self._numbers = count()
        self._coming = 0
        #: Whether nobody is let in any more.
        self.shut = False
        #: When somebody left last, on the clock of `time.monotonic`.
        self.left = -math.inf

    @property
    def places(self) -> int:
        """How many people may be in or waiting."""
        return self._parallel + self._max_waiting

    @property
    def inside(self) -> int:
        """How many replies are being written."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many people are not let in yet."""
        return self.size - self.inside

    @property
    def size(self) -> int:
        """How many people are in or waiting."""
        return len(self._tickets)

    @property
    def busy(self) -> bool:
        """Whether anybody is in, waiting, or `coming`."""
        return bool(self._tickets or self._coming)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """Be on the way to the line, and through it, until the end of the block."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    def check(self, more: int = 1) -> None:
        """Raise QueueFull without a place for so many more, or Draining without a line."""
        if self.shut:
            raise Draining
        people = sum(ticket.listened for ticket in self._tickets)
        if people + more > self.places:
            raise QueueFull(
                f"The queue is full: {people} people are being answered or waiting. "
                "Please try again in a moment."
            )

    @contextmanager
    def enter(self, share: Share = NOBODYS) -> Iterator["Ticket"]:
        """Take a place in line, and give it back at the end.

        Raises:
            QueueFull: no place is left.
            Draining: there is no line any more.
            RateLimited: whoever has this share has come too often.
        """
        self.check()
        share.count()
        ticket = Ticket(self, share, next(self._numbers))
        self._tickets.append(ticket)
        self._arrange()
        self.make_way()
        try:
            yield ticket
        finally:
            self._tickets.remove(ticket)
            self.left = time.monotonic()
            self._arrange()
            self.make_way()
            for other in self._tickets:
                other.moved.set()

    def make_way(self) -> None:
        """End replies that are in the way of somebody and alone, the longest alone first."""
        if self.size == self._inside:
            return
        ahead = self._ahead()
        alone = {ticket.reply for ticket in self._tickets if ticket.reply and ticket.reply.alone}
        gone: list[Outlasting] = []
        for reply in sorted(alone, key=lambda reply: reply.alone or 0):
            if not ahead:
                return
            if reply.ended:
                continue
            gone.append(reply)
            if (fewer := self._ahead(gone)) < ahead:  # it may take several, and no more
                for one in [*gone]:
                    others = [other for other in gone if other is not one]
                    gone = others if self._ahead(others) == fewer else gone
                for one in gone:
                    one.end()
                gone, ahead = [], fewer

    def _ahead(self, gone: Collection[Outlasting] = ()) -> int:
        """Return how many come before all who wait, and themselves, without replies that end.

        Those are the ones that were ended, and `gone`.
        """
        staying = [
            ticket
            for ticket in self._tickets
            if not ticket.reply or not (ticket.reply.ended or ticket.reply in gone)
        ]
        inside = [ticket for ticket in staying if not ticket.place]
        waiting = _in_turn(ticket for ticket in staying if ticket.place)
        while first := self._next(inside, waiting):
            waiting.remove(first)
            inside.append(first)
        return sum(place for place, ticket in enumerate(waiting, 1) if ticket.listened)

    def _arrange(self) -> None:
        """Let in whoever may come in, and put the others in the order of their turns."""
        inside = [ticket for ticket in self._tickets if not ticket.place]
        waiting = _in_turn(ticket for ticket in self._tickets if ticket.place)
        while first := self._next(inside, waiting):
            waiting.remove(first)
            first.place = 0
            inside.append(first)
            if following := [one for one in waiting if one.name and one.name == first.name]:
                following[0].number = next(self._numbers)
                waiting = _in_turn(waiting)
        for place, ticket in enumerate(waiting, 1):
            ticket.place = place
        self._tickets = inside + waiting
        self._inside = len(inside)

    def _next(self, inside: "list[Ticket]", waiting: "list[Ticket]") -> "Ticket | None":
        """Return the first of those who wait that may join those inside."""
        room = self._parallel - len(inside)
        has = Counter(name for ticket in inside for name in ticket.share.names)
        may = (one for one in waiting if all(has[name] < room for name in one.share.names))
        return next(may, None) if room > 0 else None


class Ticket:
    """A place in line."""

    def __init__(self, gate: Gate, share: Share, number: int) -> None:
        self._gate = gate
        self.share = share
        #: Whose it is; nobody's in particular without a name.
        self.name = share.name
        #: When it came, or came to the end of the line once more.
        self.number = number
        #: 1 for the next one in; 0 for who is in.
        self.place = 1
        self.moved = asyncio.Event()
        #: The reply that it is for, if that goes on without anybody.
        self.reply = outlasting.get()

    @property
    def listened(self) -> bool:
        """Whether somebody waits for the reply."""
        return self.reply is None or (self.reply.alone is None and not self.reply.ended)

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


def _in_turn(waiting: Iterable[Ticket]) -> list[Ticket]:
    """Return the first of everybody by their numbers, then the second of everybody, and so on."""
    lines: dict[str | Ticket, list[Ticket]] = {}
    for ticket in waiting:
        lines.setdefault(ticket.name or ticket, []).append(ticket)
    turns = {
        ticket: (turn, line[0].number)
        for line in lines.values()
        for turn, ticket in enumerate(line)
    }
    return sorted(turns, key=turns.__getitem__)
