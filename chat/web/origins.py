"""By which names browsers may ask, and which sites' pages may.

A browser is on its person's machine and network, and runs pages of strangers. Such a page can
have the name it came from lead to this machine (DNS rebinding): to the browser all it asks is its
own then, and the `Host` of a request tells. Or it asks our address as it is (cross-site request
forgery), and `Origin` tells. Programs send no `Origin`, and have no strangers' pages.

**Host** is checked where the server listens on this machine alone; elsewhere it has names that it
cannot know, until --allowed-hosts says them. And only where neither a login nor, for the API, a
key protects, since the page of a stranger has neither. These are taken:

- addresses in digits, localhost, and names without a dot, which no stranger can own;
- the name that it listens on, that of its share link, and those of --allowed-hosts;
- any other that comes by a reverse proxy, as far as that can be told by what no page can forge:
  HTTP/1.0, which nginx speaks and no browser does, and `Sec-Fetch-Site`, which browsers send to
  names only over TLS, for which a stranger's name has no certificate here.

So what is refused is a browser that asks over plain HTTP by way of a proxy that keeps the name and
speaks HTTP/1.1, and a program without a key that asks by such a name: --allowed-hosts names it.

**Origin** is checked everywhere, but for the API where it has a key. Another site's page may ask
if --allowed-hosts has its name, or if both are on this machine. Whether it is another site the
browser says (`Sec-Fetch-Site`); over plain HTTP to a name or on a network it does not, and `Origin`
is compared with `Host`. A proxy that passes on neither is taken at its word, unless
--allowed-hosts says which name it has. Without --allowed-hosts that is the gap that is left.

Nothing of it is for `/health` and `/live`, which tell nothing. The answers that let a page of
another site read (CORS) are Gradio's own.

Source: Fetch Metadata Request Headers (W3C); RFC 9110, 7.2 (Host); RFC 6454, 7 (Origin).
"""

import os
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.settings import Settings
from chat.web import health
from chat.web.api.refusals import is_for_programs, refused

#: What names of private networks end in.
PRIVATE = ".internal"
HOST = (
    "This server may not be asked by that name. If it is one of its own, whoever runs it adds the "
    "name to --allowed-hosts."
)
ORIGIN = (
    "Pages of other sites may not ask this server. If one may, whoever runs it adds the site's "
    "name to --allowed-hosts."
)


class Origins:
    """ASGI middleware: refuses, with 403, what a stranger's page has a browser ask.

    `listening` is the address that the server listens on, or nothing if that is not known;
    `shared` gives that of its share link, if it has one.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        listening: str = "",
        shared: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._app = app
        self._login = settings.auth is not None
        self._key = settings.api_key is not None or settings.api_keys is not None
        self._allowed = settings.allowed_hosts.lower().replace(",", " ").split()
        self._listening, self._shared = host(listening), shared

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        sentence = self._refusal(scope) if scope["type"] == "http" else None
        if sentence is None:
            await self._app(scope, receive, send)
            return
        await refused(scope["path"], HTTPException(403, sentence))(scope, receive, send)

    def _refusal(self, scope: Scope) -> str | None:
        path, headers = scope["path"], Headers(scope=scope)
        programs = is_for_programs(path)
        if path in health.PATHS or "*" in self._allowed or (programs and self._key):
            return None
        asked, site = host(headers.get("host", "")), headers.get("sec-fetch-site")
        old = scope.get("http_version") == "1.0"
        guarded = (_is_local(self._listening) or self._allowed) and not self._login
        if guarded and site is None and not old and not self._knows(asked):
            return HOST
        if "origin" not in headers or site in ("same-origin", "none"):
            return None
        if programs and scope["method"] == "POST" and "json" not in headers.get("content-type", ""):
            return None  # a page can send this unasked, so the API takes none of it
        return None if self._may_ask(headers["origin"], asked, site, old=old) else ORIGIN

    def _knows(self, name: str) -> bool:
        if not name:
            return False
        link = host(urlsplit(self._shared() or "").netloc)
        ours = name in (self._listening, link, os.environ.get("SPACE_HOST"))
        private = "." not in name or name.endswith(PRIVATE)
        return ours or private or _is_address(name) or _is_local(name) or self._allows(name)

    def _allows(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self._allowed)

    def _may_ask(self, origin: str, asked: str, site: str | None, *, old: bool) -> bool:
        scheme, _, rest = origin.partition("://")
        if rest and scheme not in ("http", "https"):
            return True  # of a program or an extension that its person has installed
        theirs = host(rest)
        if self._allows(theirs) or (_is_local(theirs) and _is_local(asked)):
            return True
        if site is not None:
            return False
        told_nothing = old and (_is_address(asked) or _is_local(asked)) and not self._allowed
        return bool(theirs) and (theirs == asked or told_nothing)


def host(netloc: str) -> str:
    """Return the name or the address in `name:port`, in small letters; nothing if there is none."""
    try:
        return (urlsplit(f"//{netloc}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_local(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return _is_address(name) and ip_address(name).is_loopback
