"""What a chat needs, and nothing else, is let through to Gradio and to the API.

Gradio serves addresses for every kind of app: uploads and deep links, which write to
disk, recordings, files, a proxy, editing of the app's code. And it reads a request of
any size into memory.
"""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from weakref import WeakValueDictionary

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.core.shares import SOON
from chat.errors import RateLimited
from chat.web.api.body import MAX_BODY
from chat.web.api.refusals import refused
from chat.web.visitors.scope import KEY
from chat.web.visitors.sessions import LOGGED_OUT, admitted

#: What may weigh more: files that somebody imports or brings, in base 64. They come one at a time
#: from each visitor or address, and so many in all, and are read one at a time.
IMPORTS = ("/gradio_api/run/saved_import", "/gradio_api/run/saved_attach")
MAX_IMPORT, IMPORTERS = 34_000_000, 8
#: Seconds that one of them may take, from its first byte to the end of the answer.
PATIENCE = 300.0
#: Bytes of requests that are not whole yet, of each visitor or address, and of all.
AT_ONCE, IN_ALL = 32_000_000, 600_000_000
#: What strangers would hold for long, where there is a login: a request without an end.
HEARTBEAT = "/gradio_api/heartbeat/"
LATE = "The server had no time to read this. Please try again in a minute."

OPEN = frozenset(
    {
        "/",
        "/detokenize",
        "/tokenize",
        "/config",  # what programs read first, and the page when it comes back
        "/favicon.ico",
        "/health",
        "/live",
        "/login",
        "/login.js",
        "/logout",
        "/manifest.json",
        "/metrics",
        "/robots.txt",  # keeps share links out of search engines
        "/theme.css",
        "/gradio_api/app_id",
        "/gradio_api/cancel",
        "/gradio_api/info",
        "/gradio_api/queue/data",
        "/gradio_api/queue/join",
        "/gradio_api/reset",  # does nothing, but the page asks for it after each Stop
        "/gradio_api/startup-events",  # with which Gradio calls itself at the start
    }
)
"""The addresses that are open; those of Gradio end with a slash too."""

OPEN_BELOW = (
    "/assets/",
    "/static/",
    "/v1/",
    "/words/",
    "/gradio_api/call/",
    "/gradio_api/heartbeat/",
    "/gradio_api/run/",
)
"""What all addresses are open below."""


def is_open(path: str) -> bool:
    """Whether there is something at this address for those who chat."""
    return (path.rstrip("/") or "/") in OPEN or path.startswith(OPEN_BELOW)


class Guard:
    """ASGI middleware in front of the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._own = WeakValueDictionary[str, asyncio.Lock]()
        self._coming = asyncio.Semaphore(IMPORTERS)
        self._reading = asyncio.Lock()
        #: Bytes that have come of requests which are not whole yet.
        self._bodies: Counter[str] = Counter()
        self._in_all = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, answer 404 for a closed address, or 413 for one that is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif not is_open(scope["path"]):
            await refused(scope["path"], HTTPException(404))(scope, receive, send)
        elif _needs_login(scope["path"]) and not admitted(scope):
            await refused(scope["path"], LOGGED_OUT)(scope, receive, send)
        elif scope["path"] in IMPORTS:
            async with self._own.setdefault(_whose(scope), asyncio.Lock()), self._coming:
                await self._import(scope, receive, send)
        else:
            await self._pass_on(scope, receive, send, MAX_BODY)

    async def _import(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def send_on(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(PATIENCE):
                await self._pass_on(scope, receive, send_on, MAX_IMPORT, self._reading)
        except TimeoutError:
            if not begun:
                late = HTTPException(503, LATE, {"Retry-After": "60"})
                await refused(scope["path"], late)(scope, receive, send)

    async def _pass_on(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        limit: int,
        turn: asyncio.Lock | None = None,
    ) -> None:
        body, whose = bytearray(), "" if turn else _whose(scope)
        try:
            while True:
                message = await receive()
                part = message.get("body", b"")
                body += part
                self._bodies[whose] += len(part)
                self._in_all += len(part)
                if len(body) > limit:
                    large = HTTPException(413, f"The limit is {limit:,} bytes.")
                    await refused(scope["path"], large)(scope, receive, send)
                    return
                if whose and self._bodies[whose] > AT_ONCE:
                    sentence = "You are sending too much at once. Please try again in a moment."
                    many = RateLimited(sentence, SOON)
                    await refused(scope["path"], many)(scope, receive, send)
                    return
                if self._in_all > IN_ALL:
                    late = HTTPException(503, LATE, {"Retry-After": "60"})
                    await refused(scope["path"], late)(scope, receive, send)
                    return
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    break
        finally:
            self._bodies[whose] -= len(body)
            self._in_all -= len(body)
            if not self._bodies[whose]:
                del self._bodies[whose]
        if "body" in message:
            message = {**message, "body": bytes(body)}
        first = [message]

        async def replay() -> Message:
            return first.pop() if first else await receive()

        async with AsyncExitStack() as held:
            if turn:
                await held.enter_async_context(turn)

            async def send_on(message: Message) -> None:
                await held.aclose()  # for who reads the answer may take long
                await send(message)

            await self._app(scope, replay, send_on if turn else send)


def _needs_login(path: str) -> bool:
    """Whether Gradio, which asks for it where it needs to, would answer anybody at an address."""
    return path in IMPORTS or path.startswith(HEARTBEAT)


def _whose(scope: Scope) -> str:
    return next((account.name for account in scope.get(KEY, ())), "")
