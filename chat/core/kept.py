"""Replies that go on for a while when nobody listens, so that whoever was cut off comes back.

A page that is reloaded, a phone that sleeps and a network that goes look as if somebody had left.
So a reply is written by a task of its own, and who listens follows that: comes, goes, and comes
back to what was written meanwhile. Left alone it goes on for so many seconds and is ended; and at
once if anybody else waits for its place (`Gate.make_way`). What there is of it can be fetched for
as long again. With 0 seconds it ends with whoever listens.

All is in memory, bounded in number and in bytes, and known by an id that cannot be guessed, to its
owner alone. For one event loop.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Generic, Protocol, TypeVar

from chat.core import gate
from chat.core.gate import Gate

#: How many replies that have ended are kept, and bytes of all that is.
MOST, MOST_BYTES = 256, 64 * 2**20
#: How many may follow one reply, which costs nothing of anybody's share: tabs, and what is left of
#: those that were reloaded.
FOLLOWERS = 8

T = TypeVar("T")


class Timer(Protocol):
    """What calls a function later."""

    def cancel(self) -> None:
        """Do not call it."""
        ...


Later = Callable[[float, Callable[[], None]], Timer]
"""Calls a function after so many seconds, unless that is cancelled."""


def new_id() -> str:
    """Return an id of 128 bits, which nobody guesses."""
    return secrets.token_hex(16)


def _later(seconds: float, call: Callable[[], None]) -> Timer:
    return asyncio.get_running_loop().call_later(seconds, call)


class Forgotten(Exception):
    """What was asked for is not kept, or not any more."""


class Kept(Generic[T]):
    """A reply, as items with numbers from 1, of which the latest are there (see `gate.Outlasting`).

    `about` is whatever its door wants to know when somebody comes back.
    """

    def __init__(
        self, replies: "Replies[T]", source: AsyncGenerator[T], owner: object, about: Any, id: str
    ) -> None:
        self.id = id
        self.owner = owner
        self.about = about
        #: Since when nobody listens, on a clock; None while somebody does, or it is over.
        self.alone: float | None = None
        #: Whether it was ended before its end.
        self.ended = False
        #: Whether nothing will follow.
        self.over = False
        #: Of all that is there.
        self.bytes = 0
        #: The number of the last item.
        self.last = 0
        self._replies = replies
        self._items: deque[T] = deque()
        self._error: Exception | None = None
        self._moved = asyncio.Event()
        self._followers: list[object] = []
        self._timer: Timer | None = None
        self._task = asyncio.create_task(self._write(source))
        self._task.add_done_callback(self._done)
        self._leave()

    @property
    def first(self) -> int:
        """The number of the first item that is there."""
        return self.last - len(self._items) + 1

    @property
    def newest(self) -> T | None:
        """The last item."""
        return self._items[-1] if self._items else None

    def end(self) -> None:
        """End it at once; what there is of it stays."""
        if not self.over:
            self.ended = True
            self._task.cancel()

    async def follow(self, after: int = 0, *, alone: bool = False) -> AsyncGenerator[tuple[int, T]]:
        """Yield the items behind this number, those that are there and those that come.

        If `alone`, who has followed it so far does so no more; of `FOLLOWERS`, the first.

        Raises:
            Forgotten: the next one is not there any more.
            Exception: what the source raised.
        """
        me = object()
        self._followers = [me] if alone else [*self._followers[1 - FOLLOWERS :], me]
        self._stay()
        self._tell()
        try:
            while True:
                while after < self.last:
                    if self._replies.latest:
                        after = self.last - 1
                    after += 1
                    if after < self.first:
                        raise Forgotten
                    yield after, self._items[after - self.first]
                    if me not in self._followers:
                        return
                if self.over and self._error:
                    raise self._error
                if self.over:
                    return
                await self._moved.wait()
                if me not in self._followers:
                    return
        finally:
            self._followers = [one for one in self._followers if one is not me]
            if not (self._followers or self.over or self.alone):
                self._leave()

    async def _write(self, source: AsyncGenerator[T]) -> None:
        gate.outlasting.set(self)
        async with aclosing(source) as items:
            async for item in items:
                self._add(item)

    def _add(self, item: T) -> None:
        self._items.append(item)
        self.last += 1
        self._grow(self._replies.size(item))
        while len(self._items) > 1 and (self._replies.latest or self._replies.full(self.bytes)):
            self._grow(-self._replies.size(self._items.popleft()))
        self._tell()

    def _grow(self, size: int) -> None:
        self.bytes += size
        self._replies.grow(size)

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self._error = error if isinstance(error, Exception) else None
        self.over = True
        self.alone = None
        self._set_timer(self._replies.forget)
        if not self.last:  # it was refused
            self._replies.forget(self)
        self._tell()

    def _tell(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    def _leave(self) -> None:
        self.alone = time.monotonic()
        self._set_timer(Kept.end)
        self._replies.gate.make_way()

    def _stay(self) -> None:
        if not self.over:
            self.alone = None
            self._set_timer(None)

    def _set_timer(self, call: "Callable[[Kept[T]], None] | None") -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = call and self._replies.later(lambda: call(self))


class Replies(Generic[T]):
    """Replies that are kept for so many seconds, of items whose bytes `size` says.

    Of each the items since the beginning are kept, or only the `latest`.
    """

    def __init__(
        self,
        gate: Gate,
        seconds: float,
        size: Callable[[T], int],
        *,
        latest: bool = False,
        later: Later = _later,
    ) -> None:
        self.gate = gate
        self.size = size
        self.latest = latest
        self._seconds = seconds
        self._later = later
        self._kept: dict[str, Kept[T]] = {}
        self._bytes = 0

    def begin(
        self, source: AsyncGenerator[T], owner: object, about: Any = None, id: str = ""
    ) -> Kept[T]:
        """Have a reply written, for `owner` alone, who is to follow it."""
        made = Kept(self, source, owner, about, id or new_id())
        self._kept[made.id] = made
        over = [kept for kept in self._kept.values() if kept.over]
        for kept in over[: max(0, len(over) - MOST)]:
            self.forget(kept)
        return made

    def find(self, id: str, owner: object) -> Kept[T]:
        """Return the owner's reply of this id.

        Raises:
            Forgotten: there is none.
        """
        kept = self._kept.get(id)
        if kept is None or kept.owner != owner:
            raise Forgotten
        return kept

    def forget(self, kept: Kept[T]) -> None:
        """Forget a reply that is over."""
        if self._kept.pop(kept.id, None):
            self._bytes -= kept.bytes

    def later(self, call: Callable[[], None]) -> Timer:
        """Call this after the seconds for which replies are kept."""
        return self._later(self._seconds, call)

    def grow(self, size: int) -> None:
        """Count bytes that a reply has grown by, and forget what is too much."""
        self._bytes += size
        for kept in [*self._kept.values()] if self._bytes > MOST_BYTES else ():
            if kept.over and self._bytes > MOST_BYTES:
                self.forget(kept)

    def full(self, size: int) -> bool:
        """Whether there is no room for so many bytes of one reply."""
        return size > MOST_BYTES // 16 or self._bytes > MOST_BYTES
