"""What answers before the model is there, and once the server is to end."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.backend.app import live
from chat.web import health
from chat.web.api.errors import refusal

#: What is answered while nothing else is, once there is an app.
OPEN = ("/live", "/metrics")


class Door:
    """ASGI app: lets requests in to another one from `open` to `close`, and counts who is in."""

    def __init__(self) -> None:
        self._app: ASGIApp | None = None
        self._closed: str | None = "loading"
        #: How many requests are being answered.
        self.inside = 0

    def open(self, app: ASGIApp) -> None:
        """Let requests in."""
        self._app, self._closed = app, None

    def close(self) -> None:
        """Let no more in; those that are in are answered to their ends."""
        self._closed = "draining"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 503."""
        path = scope["path"]
        if self._app and (not self._closed or path in OPEN):
            self.inside += 1
            try:
                await self._app(scope, receive, send)
            finally:
                self.inside -= 1
        elif path == "/live":
            await (await live(Request(scope)))(scope, receive, send)
        elif path == "/health":
            answer = JSONResponse({"status": self._closed}, 503, headers=health.RETRY)
            await answer(scope, receive, send)
        else:
            sentence = f"This server is {self._closed}; please try again in a moment."
            refused = refusal(HTTPException(503, sentence, health.RETRY))
            await refused(scope, receive, send)
