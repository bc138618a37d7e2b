"""The app of deploy/ray_app.py, exact, and with notes of who asks which replica.

In fewer bits than 32, greedy replies depend on what else a replica reads and has read.
"""

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray import serve
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.engines.openvino import engine
from deploy import ray_app

#: The variable that names the file of the notes.
NOTES = "KILLS_NOTES"


class ExactEngine(engine.OpenVINOEngine):
    """The engine in 32 bits."""

    def __init__(
        self,
        folder: Path,
        stop_ids: Iterable[int],
        window: int,
        parallel: int,
        properties: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        exact = {**(properties or {}), **engine.EXACT}
        super().__init__(folder, stop_ids, window, parallel, exact, **options)


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
    engine.OpenVINOEngine = ExactEngine  # type: ignore[assignment, misc]
    return Noted(ray_app.build())


app = serve.deployment(serve.ingress(build)(), **ray_app.OPTIONS).bind()
