"""A request's body has to come in time: some seconds for all, and more for what is large.

Time in which nobody asks for more of it does not count: then the server is the slow one.
"""

import asyncio
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.web.api.refusals import refused

#: Seconds for any body, bytes for which there is one more, and the most seconds.
SECONDS, RATE, LONGEST = 30.0, 10_000, 270.0


class Slow(HTTPException):
    """A body has taken too long."""

    def __init__(self) -> None:
        # Who is still sending it would otherwise go on for as long as they please.
        super().__init__(408, "The request took too long to arrive.", {"Connection": "close"})


class Patience:
    """ASGI middleware: answers 408 to whoever sends a body too slowly, and hangs up."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, which ends with its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        whole, size, waited = False, 0, 0.0

        async def receive_on() -> Message:
            nonlocal whole, size, waited
            if whole:
                return await receive()
            began = time.monotonic()
            try:
                allowed = min(SECONDS + size / RATE, LONGEST)
                async with asyncio.timeout(max(0.0, allowed - waited)):
                    message = await receive()
            except TimeoutError:
                raise Slow from None
            waited += time.monotonic() - began
            size += len(message.get("body", b""))
            whole = not message.get("more_body")
            return message

        try:
            await self._app(scope, receive_on, send)
        except Slow as slow:
            await refused(scope["path"], slow)(scope, receive, send)
