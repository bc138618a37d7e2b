"""OpenAI's API beside the page, on the same port: the chat for programs written for it.

    GET  /v1/models               the one model there is, and with each of its adapters
    GET  /v1/models/{id}          the same, by its name
    POST /v1/chat/completions     the next message of a conversation
    POST /v1/completions          what follows a text, as a base model continues it
    POST /v1/responses            the same as items, and what is kept of them (see `responses`)
    POST /v1/messages             Anthropic's Messages API (see `anthropic`)
    POST /v1/tokenize, /tokenize  the ids that the model would read, and the same backwards
    GET  /v1/openapi.json         all of this described, from the shapes themselves

`request` reads what is asked, in the `shapes` that there are; `endpoint` has
`Chat.reply` answer it; `reply`, `events` and `errors` write what comes of it. What is
accepted beside what is offered, and why, is in `fields`. A stream that is kept goes on where its
client left it (`streams`).
"""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from chat.core.chat import Chat
from chat.settings import Settings
from chat.web.api.anthropic.count_tokens import CountTokens
from chat.web.api.anthropic.reply import MessageReply
from chat.web.api.anthropic.shapes import MessagesBody
from chat.web.api.authentication import Authentication
from chat.web.api.endpoint import Endpoint
from chat.web.api.models import Models
from chat.web.api.openapi import Description
from chat.web.api.reply import ChatReply, TextReply
from chat.web.api.responses.endpoint import Responses
from chat.web.api.shapes import ChatBody, CompletionBody
from chat.web.api.streams import Streams
from chat.web.api.tokenize import Tokenizing

#: What is at the root too, where vLLM has it.
AT_ROOT = ("/tokenize", "/detokenize")


def routes(chat: Chat, settings: Settings) -> list[BaseRoute]:
    """Return the routes of the API for the app that serves the page."""
    sampling, strict = settings.sampling(chat.suited), settings.strict_api
    # A base model has nobody to instruct.
    system_prompt = "" if chat.format.name == "plain" else settings.system_prompt
    continuing = chat.prompting(chat.plain)
    streams = Streams(chat.gate, settings.keep_seconds)
    models, description = Models(chat.name, chat.adapters), Description(chat, settings)
    chats = Endpoint(chat, sampling, system_prompt, ChatBody, ChatReply.to, streams, strict=strict)
    messages = Endpoint(
        chat, sampling, system_prompt, MessagesBody, MessageReply.to, streams, strict=strict
    )
    counting = CountTokens(chat, system_prompt, sampling.thinking, strict=strict)
    texts = Endpoint(continuing, sampling, "", CompletionBody, TextReply.to, streams, strict=strict)
    responses = Responses(chat, sampling, system_prompt, streams, strict=strict)
    tokens = Tokenizing(chat, system_prompt, sampling.thinking, strict=strict)
    tokenizing = [
        Route("/tokenize", Answering(tokens.tokenize), methods=["POST"]),
        Route("/detokenize", Answering(tokens.detokenize), methods=["POST"]),
    ]
    router = Router(
        [
            Route("/models", Answering(models.all), methods=["GET"]),
            Route("/models/{id:path}", Answering(models.one), methods=["GET"]),
            Route("/chat/completions", chats, methods=["POST"]),
            Route("/completions", texts, methods=["POST"]),
            Route("/responses", responses, methods=["POST"]),
            Route("/responses/{id}", Answering(responses.one), methods=["GET", "DELETE"]),
            Route("/responses/{id}/input_items", Answering(responses.items), methods=["GET"]),
            Route("/messages", messages, methods=["POST"]),
            Route("/messages/count_tokens", Answering(counting.answer), methods=["POST"]),
            *tokenizing,
            Route("/openapi.json", Answering(description.answer), methods=["GET"]),
        ],
        redirect_slashes=False,
    )
    at_root = Router(tokenizing, redirect_slashes=False)
    guarded = Authentication(at_root, settings, chat.shares)
    return [
        Mount("/v1", Authentication(router, settings, chat.shares)),
        *(Route(path + slash, guarded) for path in AT_ROOT for slash in ("", "/")),
    ]


class Answering:
    """An ASGI app around a function; what that raises is for whoever calls the app."""

    def __init__(self, answer: Callable[[Request], Awaitable[Response]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)
