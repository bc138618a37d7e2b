"""The addresses of the API, and what answers at each."""

from starlette.routing import BaseRoute, Mount, Route, Router

from chat.core.chat import Chat
from chat.settings import Settings
from chat.web.api.anthropic.count_tokens import CountTokens
from chat.web.api.anthropic.reply import MessageReply
from chat.web.api.anthropic.shapes import MessagesBody
from chat.web.api.asgi import Answering
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
    chats = Endpoint(chat, sampling, system_prompt, ChatBody, ChatReply, streams, strict=strict)
    messages = Endpoint(
        chat,
        sampling,
        system_prompt,
        MessagesBody,
        lambda body, chat, replies: MessageReply(chat.name, chat.engine.window),
        streams,
        strict=strict,
    )
    counting = CountTokens(chat, system_prompt, sampling.thinking, strict=strict)
    texts = Endpoint(continuing, sampling, "", CompletionBody, TextReply, streams, strict=strict)
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
