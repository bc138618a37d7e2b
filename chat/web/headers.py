"""What browsers are told of each answer: what a page may load and run, and who may frame it.

A page runs the server's own files, and of what is written into it only the scripts that the
server wrote there, which it names by their hashes (Content-Security-Policy, level 3). So a script
that comes with a message or a reply does not run, however it got there. What has to stay open:

- 'unsafe-eval': Gradio makes functions of text, out of the JavaScript of events and the template
  of gr.HTML; without it the page stays at "Loading...". Only what the server sent is made so.
- 'unsafe-inline' for styles: Gradio's components and KaTeX write them into elements.
- data: for fonts, one of KaTeX's; data: and blob: for pictures. No picture comes from an address,
  not even of this server: one that a model asks for would tell who reads it, or log them out.

There is no Cross-Origin-Opener-Policy: over plain HTTP browsers complain of it, and ignore it.
"""

import base64
import gzip
import hashlib
import re

from starlette.datastructures import Headers as Headings
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat import space
from chat.settings import Settings

#: How hard a page is packed, which takes some milliseconds.
PACKED = 6
SCRIPT = re.compile(rb"<script(?:\s[^>]*)?>(.*?)</script>", re.DOTALL)

POLICY = (
    "default-src 'none'",
    "style-src 'self' 'unsafe-inline'",
    "font-src 'self' data:",
    "img-src data: blob:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'self'",
    "form-action 'self'",
)

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # No address of ours to other sites. Without any, a form would come from nowhere (Origin: null).
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
#: What a chat has no use for.
PERMISSIONS = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"


def frames(settings: Settings) -> str:
    """Return who may show the page in a frame, as a policy has it; nothing if everyone may."""
    if settings.frame_ancestors is None:
        return "'self' https://huggingface.co" if space.on_space() else "'self'"
    names = settings.frame_ancestors.replace(",", " ").split()
    if "*" in names:  # which in a policy leaves out pages that come over anything but HTTP
        return ""
    return "'none'" if names == ["none"] else " ".join(["'self'", *names])


def hashes(html: bytes) -> list[str]:
    """Return the sources that allow the scripts which are written into some HTML."""
    digests = [hashlib.sha256(script).digest() for script in SCRIPT.findall(html)]
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


class Headers:
    """ASGI middleware: gives each answer these headers, and each page its policy.

    `later` is HTML that the page adds to its head by itself.
    """

    def __init__(self, app: ASGIApp, frames: str, later: str = "") -> None:
        self._app = app
        self._frames = f"frame-ancestors {frames}" if frames else ""
        self._later = hashes(later.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; a page is held back until all of it is there to be hashed."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        held: Message | None = None
        page = b""

        async def send_on(message: Message) -> None:
            nonlocal held, page
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(ALWAYS)
                if headers.get("content-type", "").startswith("text/html"):
                    held = message
                    return
            elif held and message["type"] == "http.response.body":
                page += message.get("body", b"")
                if message.get("more_body"):
                    return
                headers = MutableHeaders(scope=held)
                headers.update(self._of_page(page))
                # Gradio packs its files, but not the page, which has all that it is built of.
                if page and "gzip" in Headings(raw=scope.get("headers", [])).get(
                    "accept-encoding", ""
                ):
                    page = gzip.compress(page, PACKED, mtime=0)
                    headers.update({"content-encoding": "gzip", "content-length": str(len(page))})
                    headers.add_vary_header("Accept-Encoding")
                await send(held)
                message = {**message, "body": page}
            await send(message)

        await self._app(scope, receive, send_on)

    def _of_page(self, page: bytes) -> dict[str, str]:
        scripts = " ".join(["script-src 'self' 'unsafe-eval'", *hashes(page), *self._later])
        policy = filter(None, [*POLICY, scripts, self._frames])
        return {"Content-Security-Policy": "; ".join(policy), "Permissions-Policy": PERMISSIONS}
