"""What a chat does not need and a public link must not offer, refused before Gradio sees it.

Gradio serves doors for every kind of app: uploads and deep links, which write
to disk, recordings, editing of the app's code. And it reads a request of any
size into memory.
"""

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.web.api.errors import refusal

#: Bytes of one request. A long conversation that a browser sends has some 100,000.
MAX_BODY = 1_000_000

CLOSED = ("upload", "deep_link", "process_recording", "vibe", "undo-vibe", "stream", "component")


class Guard:
    """ASGI middleware in front of the page."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, answer 404 for a closed door, or 413 for one that is too large."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door = scope["path"].rpartition("/gradio_api/")[2]
        if door != scope["path"] and door.startswith(CLOSED):
            await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY:
                sentence = f"The limit is {MAX_BODY:,} bytes."
                programs = scope["path"].startswith("/v1/")
                refused = refusal(HTTPException(413, sentence))
                answer = refused if programs else PlainTextResponse(sentence, 413)
                await answer(scope, receive, send)
                return
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        first: list[Message] = [{**message, "body": body} if "body" in message else message]

        async def replay() -> Message:
            return first.pop() if first else await receive()

        await self._app(scope, replay, send)
