"""`/logout`, which a browser fetches for a picture or before anyone has clicked on a link.

Gradio logs out whoever fetches it. Here that takes a click on a button.
"""

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.web.visitors.sessions import tokens

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Log out</title>
<link rel="icon" href="data:,">
<form method="post" style="margin: 30vh 0; text-align: center; font: 16px/1.5 system-ui">
    <button style="font: inherit; padding: 8px 24px">Log out</button>
</form>
</html>
"""


class Logout:
    """ASGI middleware in front of Gradio's `/logout`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask before it happens, and let no page of another site do it."""
        if scope["type"] != "http" or scope["path"].rstrip("/") != "/logout":
            await self._app(scope, receive, send)
        elif scope["method"] != "POST":
            headers = {"Cache-Control": "no-store"}
            await HTMLResponse(PAGE, headers=headers)(scope, receive, send)
        elif Headers(scope=scope).get("sec-fetch-site", "none") in ("none", "same-origin"):
            for token in tokens(scope):
                scope["app"].tokens.pop(token, None)
            # Else Gradio ends those of all who share the login.
            asked = {"path": "/logout", "method": "GET", "query_string": b"all_session=false"}
            await self._app({**scope, **asked}, receive, send)
        else:
            await PlainTextResponse("Please log out at /logout.", 403)(scope, receive, send)
