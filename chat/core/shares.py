"""What one visitor may take of the server, so that others are answered too.

A door says who asks, as accounts: an address and a visitor in it, a login, a key. On each of
them a reply takes a place from the moment it is asked for until it has ended, counts as a
request once it is in line, and has its tokens counted as they are read and written. What is
refused before that, since it cannot be answered, has cost nothing.

Requests and tokens drain away evenly, as many in a minute or an hour as are allowed in it, so
all of them may come at once, and after that as fast as they drain (the leaky bucket as a
meter).
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from math import ceil
from typing import NamedTuple

from chat.errors import RateLimited

#: How many accounts are remembered, the latest ones.
MOST = 100_000
MINUTE, HOUR = 60.0, 3600.0
#: Seconds after which it is worth asking whether one of one's own replies has ended.
SOON = 5.0


class Limits(NamedTuple):
    """What an account may have; 0 is no limit."""

    #: Replies at once, with those in line.
    places: int = 0
    #: A minute.
    requests: int = 0
    #: An hour, of prompts and replies.
    tokens: int = 0


class Account(NamedTuple):
    """What is counted together."""

    name: str
    limits: Limits = Limits()
    #: For sentences, with which they begin.
    who: str = "You"
    #: Whether it leaves room for others where replies are written (`chat.core.gate`).
    shares: bool = False


#: Who asks, the widest account first; without any there are no limits.
Visitor = tuple[Account, ...]
asking: ContextVar[Visitor] = ContextVar("asking", default=())


class Left(NamedTuple):
    """What is left of a limit."""

    most: int
    left: int
    #: Until nothing is used of it.
    seconds: float


class Used:
    """What an account has."""

    __slots__ = ("_at", "places", "requests", "tokens")

    def __init__(self) -> None:
        self.places = 0
        self.requests = self.tokens = 0.0
        self._at = time.monotonic()

    def drain(self, limits: Limits) -> None:
        """Let go of what was used so long ago that it counts no more."""
        now = time.monotonic()
        passed, self._at = now - self._at, now
        requests, tokens = limits.requests / MINUTE, limits.tokens / HOUR
        self.requests = max(0.0, self.requests - passed * requests) if requests else 0.0
        self.tokens = max(0.0, self.tokens - passed * tokens) if tokens else 0.0

    def check_places(self, account: Account) -> None:
        """Raise RateLimited if there is no place left."""
        most = account.limits.places
        if most and self.places >= most:
            raise RateLimited(
                f"{account.who} may have {most:,} {'reply' if most == 1 else 'replies'} at once, "
                "with those in line. Please try again once one has ended.",
                SOON,
            )

    def check_rates(self, account: Account) -> None:
        """Raise RateLimited if there is no request or no token left."""
        limits = account.limits
        self.drain(limits)
        if limits.requests and self.requests > limits.requests - 1:
            seconds = (self.requests + 1 - limits.requests) * MINUTE / limits.requests
            raise RateLimited(
                f"{account.who} may send {_number(limits.requests, 'request')} a minute. "
                f"Please try again in {_long(seconds)}.",
                seconds,
            )
        if limits.tokens and self.tokens >= limits.tokens:
            seconds = (self.tokens + 1 - limits.tokens) * HOUR / limits.tokens
            raise RateLimited(
                f"{account.who} may use {_number(limits.tokens, 'token')} an hour. "
                f"Please try again in {_long(seconds)}.",
                seconds,
                "tokens",
            )


class Share:
    """A place of a visitor's, and what is counted for it."""

    def __init__(self, visitor: Visitor = (), used: Sequence[Used] = ()) -> None:
        #: Who stands in line with it; nobody in particular if there is no account.
        self.name = visitor[-1].name if visitor else ""
        #: Who leaves room for others.
        self.names = [account.name for account in visitor if account.shares]
        self._accounts = list(zip(visitor, used, strict=True))

    def count(self) -> None:
        """Count a request.

        Raises:
            RateLimited: others have come since there was room for it.
        """
        for account, used in self._accounts:
            used.check_rates(account)
        for _, used in self._accounts:
            used.requests += 1

    def spend(self, tokens: int) -> None:
        """Count tokens, which may be more than are left: the next request then waits for them.

        Fewer than none are given back.
        """
        for _, used in self._accounts:
            used.tokens = max(0.0, used.tokens + tokens)


class Shares:
    """What all visitors have; for one event loop."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._used: OrderedDict[str, Used] = OrderedDict()

    @contextmanager
    def place(self, visitor: Visitor) -> Iterator[Share]:
        """Take a place on each account, and give it back at the end.

        Raises:
            RateLimited: one of them has no place, no request or no token left.
        """
        found = [self._of(account) for account in visitor]
        for account, used in zip(visitor, found, strict=True):
            used.check_places(account)
            used.check_rates(account)
        for used in found:
            used.places += 1
        try:
            yield Share(visitor, found)
        finally:
            for used in found:
                used.places -= 1

    def left(self, visitor: Visitor) -> tuple[Left | None, Left | None]:
        """Return what a visitor has left of requests and of tokens, where there is a limit."""
        requests, tokens = [], []
        for account in visitor:
            used, limits = self._of(account), account.limits
            used.drain(limits)
            if limits.requests:
                requests.append(_left(limits.requests, used.requests, MINUTE))
            if limits.tokens:
                tokens.append(_left(limits.tokens, used.tokens, HOUR))
        least = [min(of, key=lambda one: one.left, default=None) for of in (requests, tokens)]
        return least[0], least[1]

    def __len__(self) -> int:
        return len(self._used)

    def _of(self, account: Account) -> Used:
        """Return what an account has, and remember that it was asked for."""
        used = self._used.get(account.name)
        if used is None:
            self._make_room()
            used = self._used[account.name] = Used()
        self._used.move_to_end(account.name)
        return used

    def _make_room(self) -> None:
        """Forget who has not been here for longest and has no place."""
        for _ in range(len(self._used) - self._most + 1):
            name, used = self._used.popitem(last=False)
            if used.places:
                self._used[name] = used


def _left(most: int, used: float, period: float) -> Left:
    return Left(most, max(0, int(most - used)), used * period / most)


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _long(seconds: float) -> str:
    whole = ceil(seconds)
    if whole == 1:
        return "a second"
    return f"{whole} seconds" if whole < 120 else f"{ceil(whole / 60)} minutes"
