"""OpenAI's API beside the page, on the same port: the chat for programs written for it.

    GET  /v1/models               the one model there is
    POST /v1/chat/completions     the next message of a conversation
    POST /v1/completions          what follows a text, as a base model continues it

`request` reads what is asked, in the `shapes` that there are; `endpoint` has
`Chat.reply` answer it; `reply`, `events` and `errors` write what comes of it.
"""

import time
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from chat.core.chat import Chat
from chat.settings import Settings
from chat.web.api.endpoint import Endpoint
from chat.web.api.errors import json_bytes, refusal
from chat.web.api.reply import ChatReply, TextReply
from chat.web.api.shapes import ChatBody, CompletionBody


def routes(chat: Chat, settings: Settings) -> list[BaseRoute]:
    """Return the routes of the API for the app that serves the page."""
    model = {"id": chat.name, "object": "model", "created": int(time.time()), "owned_by": "local"}
    models = json_bytes({"object": "list", "data": [model]})

    def list_models(request: Request) -> Response:
        return Response(models, media_type="application/json")

    sampling = settings.sampling()
    # A base model has nobody to instruct.
    system_prompt = "" if chat.format.name == "plain" else settings.system_prompt
    continuing = Chat(chat.engine, chat.tokens, chat.plain, chat.gate, name=chat.name)
    chats = Endpoint(chat, sampling, system_prompt, ChatBody, ChatReply)
    texts = Endpoint(continuing, sampling, "", CompletionBody, TextReply)
    router = Router(
        [
            Route("/models", list_models),
            Route("/chat/completions", chats, methods=["POST"]),
            Route("/completions", texts, methods=["POST"]),
        ],
        redirect_slashes=False,
    )
    return [Mount("/v1", Authentication(router, settings))]


class Authentication:
    """ASGI middleware: asks for the key, and says all that goes wrong in OpenAI's shape."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._key = settings.api_key and settings.api_key.get_secret_value().strip()
        self._login = settings.auth is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        try:
            if scope["type"] == "http":
                self._check(Headers(scope=scope).get("authorization", ""))
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
