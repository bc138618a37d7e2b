"""Who may ask, and what all that goes wrong looks like to them."""

from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chat.core.shares import Shares, asking
from chat.settings import Settings
from chat.web.api.rate_limits import left
from chat.web.api.refusals import plain, refused
from chat.web.visitors import keys
from chat.web.visitors.guesses import Pace
from chat.web.visitors.private import is_private, whole

#: How many wrong keys of an address are free; then it may try one a second.
OF_ADDRESS = Pace(20, 1.0)


class Authentication:
    """ASGI middleware: asks for the key, and says all that goes wrong in its shape.

    Slashes too many, at the end of an address or where two parts of it were joined, are none.
    """

    def __init__(self, app: ASGIApp, settings: Settings, shares: Shares) -> None:
        self._app = app
        self._keys = keys.of(settings)
        self._login = settings.auth is not None
        self._shares = shares

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(left(*self._shares.left(asking.get())))
            await send(message)

        try:
            if scope["type"] == "http":
                self._check(scope)
                scope = {**scope, "path": plain(scope["path"])}
            await self._app(scope, receive, send_on)
        except ClientDisconnect:
            return
        except Exception as error:
            await refused(scope["path"], error)(scope, receive, send_on)

    def _check(self, scope: Scope) -> None:
        """Have who asks be the owner of the key that was sent.

        Raises:
            HTTPException: there is no such key, and there has to be one; or there were too many
                wrong ones.
        """
        if not self._keys:
            if self._login:  # else this were a way around it
                raise _unauthorized(
                    "Here the page asks for a login, and this API for a key, which whoever "
                    "runs the server has to set with --api-key."
                )
            return
        headers = Headers(scope=scope)
        paces = dict.fromkeys(_own_address(scope), OF_ADDRESS)
        self._keys.guesses.check(paces, "keys")
        # Header values come as Latin-1, whatever was sent.
        found = [self._keys.find(key.encode("latin-1")) for key in sent_keys(headers)]
        account = found[0] or found[1]
        if not account:
            there = headers.get("authorization") or headers.get("x-api-key")
            wrong = ", and yours is not the one" if there else ""
            self._keys.guesses.note(paces if there else {})
            raise _unauthorized(
                f"This API asks for a key{wrong}; send it as Authorization: Bearer KEY, "
                "or as x-api-key: KEY."
            )
        asking.set((account,))


def _own_address(scope: Scope) -> list[str]:
    """Return the address that asks, if it is one visitor's own.

    Not where others come from as well, whose right keys would have to wait too.
    """
    if asking.get():
        return [account.name for account in asking.get()[:-1]]
    try:  # no visitors are told apart where there is no page
        address = ip_address((scope.get("client") or ("",))[0].partition("%")[0])
    except ValueError:
        return []
    return [] if is_private(address) else [f"address:{whole(address)}"]


def sent_keys(headers: Headers) -> list[str]:
    """Return the keys that a request has, in either place; none is empty."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    found = [headers.get("x-api-key", ""), key if scheme.lower() == "bearer" else ""]
    return [key.strip(" \t") for key in found]  # some bytes of a letter are blank in Latin-1


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})
