"""Logins: guessing gets slower, whether a name exists is not told, and a session ends.

After a few wrong passwords from one address, or for one name, the next has to wait, for twice as
long each time. The right one has to wait as well: else the answer would tell it. For a name the
wait stays short, since others than its owner can cause it.

Source: OWASP's cheat sheets on authentication and on session management.
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.core.shares import Visitor, asking

#: How many addresses and names are remembered, and how many sessions there are at most.
MOST = 10_000
#: Seconds after which wrong passwords are forgotten.
FORGET = 3600.0

#: Under which name the scope of a request has its visitor.
KEY = "visitor"

#: Says why a login has to wait, of which Gradio's page says nothing.
SCRIPT = (Path(__file__).parent / "login.js").read_text("utf-8")
PLACE, TAG = b"</head>", b'<script src="login.js"></script></head>'
#: In the page that asks for a login.
ASKS = b'"auth_required":true'


class Pace(NamedTuple):
    """How many wrong passwords are free, and the longest wait after those, in seconds."""

    free: int
    longest: float


OF_ADDRESS, OF_NAME = Pace(5, 900.0), Pace(10, 60.0)


class Wrong(NamedTuple):
    """How many there were, the last of them when, and until when the next has to wait."""

    times: int
    last: float
    until: float


class Guesses:
    """Counts wrong passwords, or keys, by where they come from and whose they were to be."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, Wrong] = OrderedDict()

    def check(self, paces: Mapping[str, Pace], what: str) -> None:
        """Raise HTTPException if there were too many wrong ones, and whoever asks has to wait."""
        now = time.monotonic()
        waits = [self._wrong[key].until - now for key in paces if key in self._wrong]
        seconds = ceil(max(waits, default=0.0))
        if seconds > 0:
            raise HTTPException(
                429,
                f"There were too many wrong {what}. Please try again in "
                f"{seconds} {'second' if seconds == 1 else 'seconds'}.",
                {"Retry-After": str(seconds)},
            )

    def note(self, paces: Mapping[str, Pace]) -> None:
        """Note a wrong one."""
        now = time.monotonic()
        for key, pace in paces.items():
            before = self._wrong.pop(key, Wrong(0, now, now))
            times = 1 + (before.times if now < before.last + FORGET else 0)
            over = times - pace.free
            wait = min(2.0 ** min(over, 30), pace.longest) if over >= 0 else 0.0
            self._wrong[key] = Wrong(times, now, now + wait)
        while len(self._wrong) > MOST:
            self._wrong.popitem(last=False)

    def forget(self, key: str) -> None:
        """Forget the wrong ones of before."""
        self._wrong.pop(key, None)


class Logins:
    """Who may come in, as Gradio asks for it: called with a name and a password."""

    def __init__(self, logins: Mapping[str, str]) -> None:
        self._passwords = {name: _digest(password) for name, password in logins.items()}
        self._guesses = Guesses()

    def __call__(self, name: str, password: str) -> bool:
        """Return whether both are right.

        Raises:
            HTTPException: there were too many wrong ones, and whoever asks has to wait.
        """
        whose = f"name:{name[:100]}"
        paces = {whose: OF_NAME}
        if visitor := asking.get():
            paces[visitor[0].name] = OF_ADDRESS
        self._guesses.check(paces, "logins")
        right = hmac.compare_digest(self._passwords.get(name, b"?" * 32), _digest(password))
        if right:
            self._guesses.forget(whose)
        else:
            self._guesses.note(paces)
        return right


class Sessions(dict[str, str]):
    """Names by their tokens, as Gradio keeps them, for so many seconds after each login."""

    def __init__(self, seconds: float, others: Mapping[str, str]) -> None:
        super().__init__()
        self._seconds = seconds
        self._begun: dict[str, float] = {}
        for token, name in others.items():
            self[token] = name

    def __setitem__(self, token: str, name: str) -> None:
        self._begun[token] = time.monotonic()
        super().__setitem__(token, name)
        self._end()

    def __delitem__(self, token: str) -> None:
        del self._begun[token]
        super().__delitem__(token)

    def get(self, token: Any, default: Any = None) -> Any:
        """Return whose session it is, if it is one."""
        self._end()
        return super().get(token, default)

    def _end(self) -> None:
        """End those that are over, the oldest first, and more if there are too many."""
        over = time.monotonic() - self._seconds
        while self and (self._begun[first := next(iter(self._begun))] <= over or len(self) > MOST):
            del self[first]


class LoginPage:
    """ASGI middleware: has Gradio's page say why a login has to wait."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and put our script into the page that asks for a login."""
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = bytearray()

        async def send_on(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            page = bytes(body)
            if ASKS in page:
                page = page.replace(PLACE, TAG, 1)
                MutableHeaders(scope=start)["content-length"] = str(len(page))
            await send(start)
            await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, send_on)


def logged_in(visitor: Visitor, login: str | None) -> Visitor:
    """Return the same visitor as they are counted once they are logged in."""
    if not (visitor and login):
        return visitor
    return (visitor[-1]._replace(name=f"login:{login}"),)


def route() -> Route:
    """Return the route of the script."""

    async def script(_: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    return Route("/login.js", script)


def _digest(password: str) -> bytes:
    return sha256(password.encode("utf-8", "surrogatepass")).digest()
