"""What Gradio cannot read is refused in a sentence, and no fault of the server.

Its addresses take JSON of any shape, and fail in many ways at what no page sends; an error there
would be a status 500, and a traceback in the log that quotes what was sent. A status 500 is also
what Gradio gives to any event that is refused. Whose login has ended it tells nothing that a page
could show.
"""

import logging

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.errors import UNREADABLE, describe
from chat.web.api import refusals
from chat.web.visitors.sessions import LOGGED_OUT

#: Where an event is answered at once.
EVENTS = "/gradio_api/run/"

log = logging.getLogger(__name__)


class Unreadable:
    """ASGI middleware next to Gradio."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; what that fails at is answered with 400, or ends if it has begun."""
        begun = answered = False

        async def send_on(message: Message) -> None:
            nonlocal begun, answered
            begun = True
            if message.get("status") == 401 and scope["path"].startswith(refusals.EVENTS):
                answered = True
                await refusals.refused(scope["path"], LOGGED_OUT)(scope, receive, send)
            if answered:
                return
            if message.get("status") == 500 and scope["path"].startswith(EVENTS):
                message = {**message, "status": 400}  # with a sentence (`Blocks.process_api`)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except Exception as error:
            if not isinstance(error.__cause__, HTTPException):  # a refusal once it had begun
                log.error("%s", describe(error))
            if answered:
                return
            if begun:
                await send({"type": "http.response.body"})
            else:
                await JSONResponse({"error": UNREADABLE}, 400)(scope, receive, send)
