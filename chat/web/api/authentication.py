"""Who may ask, and what all that goes wrong looks like to them."""

from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.settings import Settings
from chat.web.api.refusals import plain, refused


class Authentication:
    """ASGI middleware: asks for the key, and says all that goes wrong in its shape.

    Slashes too many, at the end of an address or where two parts of it were joined, are none.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._key = settings.api_key and settings.api_key.get_secret_value().strip()
        self._login = settings.auth is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        try:
            if scope["type"] == "http":
                self._check(Headers(scope=scope))
                scope = {**scope, "path": plain(scope["path"])}
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            await refused(scope["path"], error)(scope, receive, send)

    def _check(self, headers: Headers) -> None:
        """Raise HTTPException unless the key that was set is there."""
        if not self._key:
            if self._login:  # else this were a way around it
                raise _unauthorized(
                    "Here the page asks for a login, and this API for a key, which whoever "
                    "runs the server has to set with --api-key."
                )
            return
        # Header values come as Latin-1, whatever was sent.
        sent = [key.encode("latin-1") for key in keys(headers)]
        right = [compare_digest(one, self._key.encode()) for one in sent]
        if not any(right):
            there = headers.get("authorization") or headers.get("x-api-key")
            wrong = ", and yours is not the one" if there else ""
            raise _unauthorized(
                f"This API asks for a key{wrong}; send it as Authorization: Bearer KEY, "
                "or as x-api-key: KEY."
            )


def keys(headers: Headers) -> list[str]:
    """Return the keys that a request has, in either place; none is empty."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    found = [headers.get("x-api-key", ""), key if scheme.lower() == "bearer" else ""]
    return [key.strip(" \t") for key in found]  # some bytes of a letter are blank in Latin-1


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})
