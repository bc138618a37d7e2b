"""What answers on the page's port while the model loads: a page that waits, `/health` and `/live`.

Gradio is still being imported then, which takes longer than to load a small
model, and a large one takes minutes to download.
"""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from chat.web import health, words
from chat.web.headers import Headers, hashes
from chat.web.reverse_proxy import ReverseProxy
from chat.web.visitors.connections import options
from chat.web.visitors.private import LOOPBACK

LOADING = "The model is still loading. Please try again in a moment."

#: What the page says, by the place of each.
SAID = {
    "loading": "Loading the model …",
    "bar": "Loading the model",
    "stopped": "The server has stopped.",
}
PAGE = """<!doctype html>
<html lang="{language}" dir="{direction}">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
    content="default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; img-src data:;
        script-src {hashes}">
<title>{title}</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="3"></noscript>
<style>
    body {
        align-content: center; text-align: center; min-height: 100svh; margin: 0;
        padding: 0 16px; box-sizing: border-box; font: 16px/1.5 system-ui, sans-serif;
        color: light-dark(#27272a, #f4f4f5); background: light-dark(#fff, #0b0f19);
    }
    h1 { font-size: 24px; margin: 0; }
    p { color: light-dark(#52525b, #a1a1aa); margin: 8px 0 24px; }
    progress { width: 200px; max-width: 100%; accent-color: light-dark(#ea580c, #f97316); }
</style>
<h1>{title}</h1>
<p role="status" data-loading="{loading}" data-stopped="{stopped}">{loading}</p>
<progress aria-label="{bar}"></progress>
<script>{script}</script>
</html>
""".replace("{script}", (Path(__file__).parent / "lobby.js").read_text("utf-8"))
PAGE = PAGE.replace("{hashes}", " ".join(hashes(PAGE.encode())))


@contextmanager
def lobby(
    listening: socket.socket, root: str = "", frames: str = "'self'", title: str = "Fourbit Chat"
) -> Iterator[None]:
    """Answer on a socket that listens, in a thread, until the block ends; then the port is free.

    A reverse proxy may show it below the path `root`, and sites that `frames` has in a frame.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await _response(Request(scope), title)(scope, receive, send)

    app = Headers(ReverseProxy(answer, root), frames)
    config = uvicorn.Config(
        app,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
        **options(",".join(LOOPBACK)),
    )
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=[[listening]], daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        # No longer than the port is taken: replies that are under way end meanwhile.
        while listening.fileno() >= 0 and thread.is_alive():
            time.sleep(0.005)


def page(title: str, language: str) -> str:
    """Return the page that waits, in one of the languages that there are."""
    there = words.catalog(language)
    holes = {
        "title": title,
        "language": language,
        "direction": "rtl" if language in words.FROM_RIGHT else "ltr",
    }
    holes |= {name: there.get(text, text) for name, text in SAID.items()}
    # All at once, since a title may have such a name in it.
    return re.sub(rf"{{({'|'.join(holes)})}}", lambda hole: escape(holes[hole[1]]), PAGE)


def _response(request: Request, title: str) -> Response:
    path = request.scope["path"]
    if path == "/health":
        return health.answer("loading")
    if path == "/live":
        return health.live()
    if path == "/":
        language = words.accepted(request.headers.get("accept-language", ""))
        headers = {**health.RETRY, "Vary": "Accept-Language"}
        return HTMLResponse(page(title, language), 503, headers=headers)
    if path.startswith("/v1/messages"):
        overloaded = {"type": "overloaded_error", "message": LOADING}
        return JSONResponse({"type": "error", "error": overloaded}, 503, headers=health.RETRY)
    if path.startswith("/v1/"):
        error = {"message": LOADING, "type": "server_error", "param": None, "code": "loading"}
        return JSONResponse({"error": error}, 503, headers=health.RETRY)
    return PlainTextResponse(LOADING, 503, headers=health.RETRY)
