"""A request for a whole address is one for its path, as some proxies write it.

    GET http://host/v1/models HTTP/1.1

Source: RFC 9112, 3.2.2 (absolute form), which every server has to take for what it takes
in 3.2.1 (origin form).
"""

from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send


class OriginForm:
    """ASGI middleware in front of all that looks at a path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its path alone."""
        if scope["type"] == "http":
            raw = scope.get("raw_path", b"")
            if b"://" in raw and not raw.startswith(b"/"):
                # By what was sent: a host may have a slash in it that is written as %2F.
                raw = b"/" + raw.partition(b"://")[2].partition(b"/")[2]
                scope = {**scope, "path": unquote(raw.decode("ascii")), "raw_path": raw}
        await self._app(scope, receive, send)
