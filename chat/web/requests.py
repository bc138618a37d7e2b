"""Each request has an id, and a line in the log once it is answered.

The id is its own, or one that is made; it goes back in the answer. Of the request itself the log
has no query, no body, and of its path only the words that are the server's own.
"""

import re
import time
from secrets import token_hex

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.web.guard import OPEN, OPEN_BELOW
from chat.web.logs import HEADER, access, request_id

#: What the id is called where Anthropic's client looks for it.
ANTHROPIC_HEADER = "request-id"
#: An id that can be taken as it is.
SANE = re.compile("[A-Za-z0-9_.-]{1,64}")

#: What an address may be made of to be logged as it is.
WORDS = frozenset(
    {word for path in (*OPEN, *OPEN_BELOW) for word in path.split("/")}
    | {"chat", "complete", "completions", "responses", "input_items", "messages", "count_tokens"}
    | {"models", "openapi.json"}
)


def shown(path: str) -> str:
    """Return an address without what may be somebody's: `/v1/responses/*`."""
    return "/".join(word if word in WORDS else "*" for word in path.split("/"))


class Logged:
    """ASGI middleware: gives each request its id, and logs it once it is answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its id among its headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 0
        given = Headers(scope=scope).get(HEADER, "")
        id = given if SANE.fullmatch(given) else token_hex(16)
        others = [(name, value) for name, value in scope["headers"] if name != HEADER.encode()]
        told = {**scope, "headers": [*others, (HEADER.encode(), id.encode())]}

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                for name in (HEADER, ANTHROPIC_HEADER):
                    MutableHeaders(scope=message)[name] = id
            await send(message)

        token = request_id.set(id)
        try:
            await self._app(told, receive, send_on)
        finally:
            path = shown(scope["path"])
            answered = {
                "method": scope["method"],
                "path": path,
                "status": status,
                "ms": round(1000 * (time.monotonic() - began), 1),
            }
            access.info("%s %s %d", scope["method"], path, status, extra={"answered": answered})
            request_id.reset(token)
