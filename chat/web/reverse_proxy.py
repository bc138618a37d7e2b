"""What lets the page stand behind a reverse proxy, whatever that does and says.

A proxy may end TLS, listen on another port, add a path and leave it or strip it, and tell
of it in X-Forwarded headers, or not. So nothing here depends on what the server believes
its own address to be: the page finds all it needs from where the browser has it.
"""

from starlette.datastructures import MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.web.api.refusals import plain

#: From which addresses Gradio tells its own root, and what that is to be: for the page
#: its own folder, for programs the address that they were given.
ROOTS = {"/": b".", "/logout": b".", "/config": b"/", "/gradio_api/info": b"/"}
#: What has somebody's name in it, and brings a cookie.
PERSONAL = ("/", "/config")


class ReverseProxy:
    """ASGI middleware: takes the root path off, and has all that is answered be relative."""

    def __init__(self, app: ASGIApp, root: str = "") -> None:
        self._app = app
        self._root = root

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on as if it came straight from the browser."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        if f"{path}/".startswith(f"{self._root}/"):  # else the proxy took it off
            path = path.removeprefix(self._root)
        if not path:  # what the page needs is below it, as a browser sees it
            folder = self._root.rpartition("/")[2] + "/"
            query = scope["query_string"].decode("latin-1")
            answer = RedirectResponse(f"{folder}?{query}" if query else folder)
            await answer(scope, receive, send)
            return
        # Else Starlette redirects, to what it believes its address.
        path = plain(path) or "/"
        scope = {**scope, "path": path, "headers": _told(path, scope["headers"])}

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if path in PERSONAL:
                    headers.setdefault("Cache-Control", "private, no-cache")
                _change(headers)
            await send(message)

        await self._app(scope, receive, send_on)


def _told(path: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the headers with what Gradio takes its root from."""
    root = ROOTS.get(path)
    if root is None:
        return headers
    # Gradio's own front server says it in this one, but the other would go before it.
    hidden = (b"x-gradio-server", b"x-forwarded-host")
    return [
        *((name, value) for name, value in headers if name not in hidden),
        (b"x-gradio-server", root),
    ]


def _change(headers: MutableHeaders) -> None:
    if headers.get("content-type", "").startswith("text/event-stream"):
        headers["X-Accel-Buffering"] = "no"  # for nginx, which else shows it once it has ended
    cookies = headers.getlist("set-cookie")
    if any("samesite=none" in cookie.lower() for cookie in cookies):
        # In another site's frame browsers keep only cookies that are of this frame alone.
        del headers["set-cookie"]
        for cookie in cookies:
            crossing = "samesite=none" in cookie.lower()
            headers.append("set-cookie", f"{cookie}; Partitioned" if crossing else cookie)
