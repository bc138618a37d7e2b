"""The app of deploy/ray_app.py, exact, and with notes of who asks which replica."""

import os
import time

from ray import serve
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from benchmarks import exact
from deploy import ray_app

#: The variable that names the file of the notes.
NOTES = "KILLS_NOTES"


class Noted:
    """An app that notes when a request for a reply comes and ends: time, process, what, session."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        asks = scope["type"] == "http" and scope["path"].endswith("/completions")
        session = Headers(scope=scope).get("x-session-id", "") if asks else ""
        if session:
            _note("came", session)
        try:
            await self._app(scope, receive, send)
        finally:
            if session:
                _note("ended", session)


def _note(what: str, session: str) -> None:
    with open(os.environ[NOTES], "a") as file:
        file.write(f"{time.time()} {os.getpid()} {what} {session}\n")


def build() -> ASGIApp:
    """Return what one replica serves."""
    exact.use()
    return Noted(ray_app.build())


app = serve.deployment(serve.ingress(build)(), **ray_app.OPTIONS).bind()
