"""The page that asks for a login says why one has to wait, of which Gradio's says nothing."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SCRIPT = (Path(__file__).parent / "login.js").read_text("utf-8")
PLACE, TAG = b"</head>", b'<script src="login.js"></script></head>'
#: In the page that asks for a login.
ASKS = b'"auth_required":true'


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


def route() -> Route:
    """Return the route of the script."""

    async def script(_: Request) -> Response:
        return Response(SCRIPT, media_type="text/javascript")

    return Route("/login.js", script)
