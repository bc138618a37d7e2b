"""Who asks: a login, else a key, else a visitor whose browser has our cookie, else an address.

A login and a key are counted by themselves. All others are counted twice, as a visitor and as
the address that they come from, which may have as much as a few visitors: so cookies that are
thrown away, or collected, win nothing, since all who have none are one visitor of their address.

Not every address is somebody's. Where a proxy, a container's network or a share link stands
before the server, all people may come from one, a private one. There they are counted by their
cookies alone. From the server's own machine, without a share link, nobody is counted.

`scope["client"]` is the address that the known proxies tell of in X-Forwarded-For
(`--trusted-proxies`): uvicorn reads it from the right, up to the first that is not one of them.
"""

import hmac
import os
from collections import Counter
from hashlib import sha256
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from secrets import token_bytes, token_hex

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat import space
from chat.core.shares import SOON, Account, Limits, Visitor, asking
from chat.errors import RateLimited
from chat.settings import Settings
from chat.settings.serving import KEY_FILE
from chat.settings.visitors import addresses
from chat.web import health
from chat.web.api.refusals import refused
from chat.web.visitors.private import LOOPBACK, PRIVATE, is_private, whole
from chat.web.visitors.scope import KEY

#: Where browsers get their cookie: with the page, and when it comes back.
GIVEN = ("/", "/config")
#: Requests of an address at once, of which each tab has one or two for as long as it is open.
OPEN = 400
#: As much as so many visitors is an address's; of places it is half of all.
VISITORS = 4
#: As much of all places is a visitor's, but `FEWEST` at least.
PART, FEWEST = 4, 2


def known_proxies(settings: Settings) -> str:
    """Return whose X-Forwarded-For is read, as uvicorn takes it."""
    told = settings.trusted_proxies or addresses(os.environ.get("FORWARDED_ALLOW_IPS", ""))
    # Nothing but its proxy reaches a Space.
    known = map(str, PRIVATE) if space.on_space() else LOOPBACK
    return ",".join([*filter(None, [told]), *known])


def limits(settings: Settings, places: int) -> tuple[Limits, Limits]:
    """Return those of an address and of a visitor, of so many places in all."""
    own = settings.visitor_places
    most = max(FEWEST, places // PART) if own is None else own
    visitor = Limits(most, settings.visitor_requests, settings.visitor_tokens)
    address = Limits(
        max(most, places // 2) if most else 0,
        visitor.requests * VISITORS,
        visitor.tokens * VISITORS,
    )
    return address, visitor


def _kept(file: Path) -> bytes:
    """Return a secret that outlasts a restart, or nothing if there is none."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


class Visitors:
    """ASGI middleware: finds out who asks, and gives browsers a cookie to be told apart by."""

    def __init__(self, app: ASGIApp, settings: Settings, places: int) -> None:
        self._app = app
        self._public = settings.share or space.on_space()
        self._address, self._visitor = limits(settings, places)
        secret = settings.conversations_secret().encode() or _kept(settings.data_dir / KEY_FILE)
        # Other pages of this address have the same one, and so has this one after a restart.
        self._key = hmac.digest(secret, b"visitors", "sha256") if secret else token_bytes(32)
        self._open: Counter[str] = Counter()
        self._cookie = f"visitor-{self._sign('')[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its visitor."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        address, single = self._where(request)
        id = self._id(request.cookies)
        visitor = self._of(address, single, id)
        scope[KEY] = visitor
        asking.set(visitor)
        # Where all who have no cookie are one visitor, others do not keep anybody from getting one.
        free = health.PATHS if id or len(visitor) > 1 else (*health.PATHS, *GIVEN)
        account = visitor[0].name if visitor and scope["path"] not in free else ""
        if account and self._open[account] >= OPEN:
            sentence = f"You have {OPEN} requests open already. Please try again in a moment."
            await refused(scope["path"], RateLimited(sentence, SOON))(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["path"] in GIVEN:
                headers, value = MutableHeaders(scope=message), self._sealed(token_hex(16))
                # As Gradio's login has it: one for frames of other sites, one without HTTPS.
                secure = f"{self._cookie}={value}; Path=/; HttpOnly; Secure; SameSite=None"
                plain = f"{self._cookie}-plain={value}; Path=/; HttpOnly; SameSite=Lax"
                headers.append("set-cookie", secure)
                headers.append("set-cookie", plain)
            await send(message)

        self._open[account] += 1
        try:
            await self._app(scope, receive, send_on if address and not id else send)
        finally:
            self._open[account] -= 1
            if not self._open[account]:
                del self._open[account]

    def _where(self, request: HTTPConnection) -> tuple[str, bool]:
        """Return an address, and whether it is one visitor's; or none for this machine."""
        host = request.client.host if request.client else ""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:  # what a proxy says in place of one, or a socket of Unix
            return (f"{host[:64]}?", False)
        if isinstance(address, IPv6Address):
            address = address.ipv4_mapped or address
        forwarded = "x-forwarded-for" in request.headers
        if address.is_loopback and not (self._public or forwarded):
            return ("", False)
        single = not is_private(address)
        return (whole(address), single)

    def _of(self, address: str, single: bool, id: str) -> Visitor:
        if not address:
            return ()
        name = f"visitor:{id}" if id else f"without:{address}"
        shares = self._visitor.places > 0
        whole = Account(f"address:{address}", self._address, "Your address", shares)
        one = Account(name, self._visitor, shares=shares)
        return (whole, one) if single else (one,)

    def _id(self, cookies: dict[str, str]) -> str:
        """Return who is told by a cookie that we have given, or nothing."""
        for name in (self._cookie, f"{self._cookie}-plain"):
            id, _, _ = cookies.get(name, "").partition(".")
            if id and hmac.compare_digest(self._sealed(id).encode(), cookies[name].encode()):
                return id
        return ""

    def _sealed(self, id: str) -> str:
        return f"{id}.{self._sign(id)}"

    def _sign(self, id: str) -> str:
        return hmac.new(self._key, id.encode(), sha256).hexdigest()
