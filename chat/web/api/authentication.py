"""Who may ask, and what all that goes wrong looks like to them."""

import re
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.settings import Settings
from chat.web.api.errors import refusal


class Authentication:
    """ASGI middleware: asks for the key, and says all that goes wrong in OpenAI's shape.

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
                self._check(Headers(scope=scope).get("authorization", ""))
                path = re.sub("/{2,}", "/", scope["path"]).rstrip("/")
                scope = {**scope, "path": path}
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            await refusal(error)(scope, receive, send)

    def _check(self, authorization: str) -> None:
        """Raise HTTPException unless the key that was set is there."""
        if not self._key:
            if self._login:  # else this were a way around it
                raise _unauthorized(
                    "Here the page asks for a login, and this API for a key, which whoever "
                    "runs the server has to set with --api-key."
                )
            return
        scheme, _, key = authorization.partition(" ")
        # Header values come as Latin-1, whatever was sent; some bytes of a letter are blank in it.
        right = compare_digest(key.strip(" \t").encode("latin-1"), self._key.encode())
        if scheme.lower() != "bearer" or not right:
            raise _unauthorized(
                "This API asks for a key, and yours is not the one; send it as "
                "Authorization: Bearer KEY."
                if authorization
                else "This API asks for a key; send it as Authorization: Bearer KEY."
            )


def _unauthorized(sentence: str) -> HTTPException:
    return HTTPException(401, sentence, {"WWW-Authenticate": "Bearer"})
