"""Connections are bounded, and whoever opens one has to send a request.

uvicorn waits for a first request for ever, for the end of a request's head too, and for what is
left of a body after an early answer; and it takes as many connections as come, until no file can
be opened any more. Here who owes a request for too long is cut off, and sooner when there is no
room: so neither ten thousand silent connections nor slow ones keep others from an answer.

How long a body may take is in `chat.web.visitors.patience`.
"""

import asyncio
import resource
from collections import Counter
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

from chat.web.visitors.private import Network, is_private, whole

#: Seconds for a request's head; uvicorn's own patience, between two requests, is shorter.
PATIENCE = 10.0
#: Connections at once, and which part of the files that may be open they may be.
MOST, PART = 10_000, 0.75
#: Of one address on the Internet that is no known proxy; a browser has 6 of a page.
EACH = 500
#: Open files that suffice for all of it.
FILES = 16_384

LATE = b"The request took too long to arrive."
ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(LATE), LATE)
)


def options(proxies: str) -> dict[str, Any]:
    """Return what uvicorn has to be told, and allow the process enough open files.

    `proxies` are addresses and networks, after commas.
    """
    Connection.most = min(MOST, int(_files() * PART))
    Connection.proxies = [ip_network(proxy) for proxy in proxies.split(",")]
    return {
        "http": Connection,
        "ws": "none",
        "forwarded_allow_ips": proxies,
        "backlog": 512,
        # Else a request knows who asked before it on the same connection.
        "reset_contextvars": True,
    }


def _whole(host: str) -> str:
    try:
        return whole(ip_address(host.partition("%")[0]))
    except ValueError:  # a socket of Unix, or nothing
        return host


def _files() -> int:
    """Raise the soft limit on open files, as far as it may be and is of use, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


class Connection(H11Protocol):
    """A connection, for uvicorn; they are counted for the whole process, whose files they are."""

    most: ClassVar[int] = MOST
    each: ClassVar[int] = EACH
    proxies: ClassVar[list[Network]] = []
    #: How many there are, and of each address.
    open: ClassVar[int] = 0
    of: ClassVar[Counter[str]] = Counter()
    #: Those that owe a request, the longest first.
    owing: ClassVar[dict["Connection", None]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it, if need be in the place of one that owes a request, or close it at once."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._whole = _whole(self._address)
        self._timer: asyncio.TimerHandle | None = None
        Connection.open += 1
        Connection.of[self._whole] += 1
        if Connection.of[self._whole] > self.each and not self._stands_for_many():
            transport.abort()
        elif Connection.open <= self.most:
            self._owe()
        elif self.owing:
            next(iter(self.owing)).cut()
            self._owe()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._pay()
        Connection.open -= 1
        Connection.of[self._whole] -= 1
        if not Connection.of[self._whole]:
            del Connection.of[self._whole]

    def data_received(self, data: bytes) -> None:
        """Take what has come, unless it is too late."""
        if not self.transport.is_closing():
            super().data_received(data)

    def handle_events(self) -> None:
        """Pass on what has come; a whole head is what was owed."""
        super().handle_events()
        if self.cycle and not self.cycle.response_complete:
            self._pay()

    def on_response_complete(self) -> None:
        """Wait for the next one."""
        self._owe()
        super().on_response_complete()  # which may find it there already

    def cut(self) -> None:
        """Close it; who has sent a part of a head is told why."""
        self._pay()
        if self.conn.trailing_data[0]:
            self.transport.write(ANSWER)
        self.transport.close()

    def _should_upgrade(self) -> bool:
        return False  # there is nothing here for WebSockets

    def _owe(self) -> None:
        self._pay()
        self.owing[self] = None
        self._timer = self.loop.call_later(PATIENCE, self.cut)

    def _pay(self) -> None:
        self.owing.pop(self, None)
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _stands_for_many(self) -> bool:
        """Whether it may be a proxy's, which has as many as there are people."""
        try:
            address = ip_address(self._address)
        except ValueError:
            return True
        return is_private(address) or any(address in proxy for proxy in self.proxies)
