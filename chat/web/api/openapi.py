"""`/v1/openapi.json`: the API described (OpenAPI 3.1), from the shapes that requests are read with.

The controls are those of `Sampling`, with the host's values for what a request leaves open;
what this engine cannot obey may only be null. Fields that are accepted and do nothing are
there with the reason (see `chat.web.api.fields`).
"""

from functools import cached_property
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import Response

from chat import __version__
from chat.core.chat import Chat
from chat.core.sampling import MAX_BIASES, MAX_CHOICES, MAX_LINES, OPTIONAL, Sampling
from chat.core.schema.fitting import LONGEST_SCHEMA
from chat.settings import Settings
from chat.web.api import answers
from chat.web.api.anthropic import answers as anthropic
from chat.web.api.anthropic.shapes import CountBody, MessagesBody
from chat.web.api.errors import json_answer
from chat.web.api.ignored import HEADER
from chat.web.api.request import NAMES, SCORES, STRUCTURED, TIES
from chat.web.api.responses import answers as items
from chat.web.api.responses.shapes import ResponseBody
from chat.web.api.responses.tools import OtherTool
from chat.web.api.shapes import ChatBody, CompletionBody, RequestBody
from chat.web.api.thinking import ThinkingObject
from chat.web.api.tokenize import DetokenizeBody, TokenizeBody
from prompts.formats.tooled import UNKNOWN

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}


def _lines(line: Schema, most: int) -> Schema:
    return {"anyOf": [line, {"type": "array", "items": line, "maxItems": most}]}


LINE: Schema = {"type": "string", "maxLength": 200}
#: What a program may send for a control, where that is not what `Sampling` says.
WIDER: dict[str, Schema] = {
    "max_new_tokens": {"minimum": -1},
    "top_k": {"minimum": -1},
    "num_beams": {"maximum": 1},
    "stop": _lines(LINE, MAX_LINES),
    "choices": _lines({**LINE, "minLength": 1}, MAX_CHOICES),
    "logit_bias": {
        "maxProperties": MAX_BIASES,
        "propertyNames": {"pattern": "^[0-9]{1,10}$"},
        "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
    },
    "json_schema": {"anyOf": [{"type": "string", "maxLength": LONGEST_SCHEMA}, {"type": "object"}]},
}
HI = [{"role": "user", "content": "What is the capital of France?"}]
SENTENCES = {
    400: "The request cannot be answered; the sentence says why, and param names the field.",
    401: "A key is asked for.",
    404: "There is nothing here.",
    405: "This address takes another method.",
    413: "The request is too large.",
    415: "The request is not JSON, or packed in a way that is not offered.",
    429: "The queue is full; Retry-After says when to come back.",
    500: "The model failed.",
    503: "The model is still loading.",
}


class Description:
    """The document, made when it is first asked for."""

    def __init__(self, chat: Chat, settings: Settings) -> None:
        self._chat = chat
        self._settings = settings

    async def answer(self, request: Request) -> Response:
        """Answer with the document, as it is seen from where the request came."""
        root = str(request.scope.get("root_path", "")).removesuffix("/v1")
        return json_answer({**self._document, "servers": [{"url": root or "/"}]})

    @cached_property
    def _document(self) -> Schema:
        text, one = "Token ids of a text or a conversation", "The text of token ids"
        tokens = _post(text, TokenizeBody, answers.TokenIds, {"prompt": "Once upon a time"})
        back = _post(one, DetokenizeBody, answers.Text, {"tokens": [1, 2, 3]})
        chats = _post("The next message", ChatBody, answers.ChatCompletion, {"messages": HI})
        texts = _post(
            "What follows a text", CompletionBody, answers.TextCompletion, {"prompt": "A"}
        )
        response, input = _named(_get("A response", items.Response, 404)), {"input": "Hello."}
        responses = _post("The next items", ResponseBody, items.Response, input)
        gone = _named(_get("Forgets a response", items.Forgotten, 404))
        asked = _paged(_named(_get("What a response answered", items.ResponseItems, 400, 404)))
        _streamed(responses, items.ResponseEvent, end=())
        responses["responses"]["404"] = response["responses"]["404"]
        messages = _anthropic(
            _post("The next message", MessagesBody, anthropic.AssistantMessage, {"messages": HI})
        )
        counts = _anthropic(
            _post("Tokens of a prompt", CountBody, anthropic.InputTokens, {"messages": HI})
        )
        messages["responses"]["200"]["content"]["text/event-stream"] = {"schema": _named_event()}
        _streamed(chats, answers.ChatCompletionChunk)
        _streamed(texts, answers.TextCompletion)
        document: Schema = {
            "openapi": "3.1.0",
            "info": {"title": "Fourbit Chat", "version": __version__},
            "paths": {
                "/v1/models": {"get": _get("The model in a list", answers.ModelList)},
                "/v1/models/{id}": {
                    "get": _named(_get("The model by its name", answers.Model, 404))
                },
                "/v1/chat/completions": {"post": chats},
                "/v1/completions": {"post": texts},
                "/v1/responses": {"post": responses},
                "/v1/responses/{id}": {"get": response, "delete": gone},
                "/v1/responses/{id}/input_items": {"get": asked},
                "/v1/messages": {"post": messages},
                "/v1/messages/count_tokens": {"post": counts},
                "/v1/tokenize": {"post": tokens},
                "/v1/detokenize": {"post": back},
                "/tokenize": {"post": tokens},
                "/detokenize": {"post": back},
                "/v1/openapi.json": {"get": _get("This description", answers.OpenAPI)},
            },
            "components": {"schemas": self._schemas()},
        }
        if self._settings.api_key or self._settings.api_keys:
            document["components"]["securitySchemes"] = {
                "key": {"type": "http", "scheme": "bearer"},
                "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            }
            document["security"] = [{"key": []}]
            for operation in (messages, counts):
                operation["security"] = [{"key": []}, {"x-api-key": []}]
        return document

    def _schemas(self) -> Schema:
        replied: list[type[RequestBody]] = [ChatBody, CompletionBody, ResponseBody, MessagesBody]
        asked: list[type[BaseModel]] = [*replied, CountBody, TokenizeBody, DetokenizeBody]
        answered: list[type[BaseModel]] = [
            answers.ModelList,
            answers.ChatCompletion,
            answers.ChatCompletionChunk,
            answers.TextCompletion,
            items.Response,
            items.ResponseEvent,
            items.ResponseItems,
            items.Forgotten,
            answers.TokenIds,
            answers.Text,
            answers.Error,
            answers.OpenAPI,
            anthropic.AssistantMessage,
            anthropic.MessageEvent,
            anthropic.InputTokens,
            anthropic.MessageError,
        ]
        _, whole = models_json_schema(
            [(model, "validation") for model in (*asked, *answered)],
            ref_template="#/components/schemas/{model}",
        )
        schemas: Schema = whole["$defs"]
        for shape in replied:
            schemas[shape.__name__]["properties"] |= self._controls(shape)
        if not self._chat.tooled:
            for each in asked:
                schemas[each.__name__]["properties"] |= self._no_tools(each)
        return schemas

    def _no_tools(self, shape: type[BaseModel]) -> Schema:
        """Return what is said of the tools where the model knows none."""
        others = {"items": _ref(OtherTool)} if shape is ResponseBody else {"maxItems": 0}
        none = {"anyOf": [{"type": "array", **others}, NULL], "description": UNKNOWN}
        return {"tools": none} if "tools" in shape.model_fields else {}

    def _thinking(self, shape: type[RequestBody]) -> Schema:
        """Return what may be sent as `thinking`; only a model that thinks can be told to."""
        thinks = self._chat.format.thoughts and shape is not CompletionBody
        own = {"enum": ["auto", "on", "off"] if thinks else ["auto", "off"]}
        return {"anyOf": [own, {"type": "boolean"}, _ref(ThinkingObject)]}

    def _controls(self, shape: type[RequestBody]) -> Schema:
        """Return the controls by all names that they go by."""
        written = Sampling.model_json_schema()["properties"]
        values = self._settings.sampling(self._chat.suited).model_dump(mode="json")
        found = {}
        for name, own in written.items():
            words = {key: own[key] for key in ("title", "description")}
            if name in SCORES and shape.logprobs_by == "none":
                continue
            if name in OPTIONAL and name not in self._chat.engine.supports:
                off = Sampling().model_dump(mode="json")[name]
                found[name] = {**words, "enum": [off, None]}
                continue
            if name == "adapter":
                found[name] = {**words, "enum": ["", *self._chat.adapters, None]}
                continue
            wider = WIDER.get(name, {})
            if name == "thinking":
                wider = self._thinking(shape)
            if name == "logprobs" and shape.logprobs_by == "count":
                most = written["top_logprobs"]["maximum"]
                count = {"type": "integer", "minimum": 0, "maximum": most}
                wider = {"anyOf": [{"type": "boolean"}, count]}
            limits = {} if "anyOf" in wider else own
            schema = {key: value for key, value in limits.items() if key not in (*words, "default")}
            found[name] = {
                **words,
                "default": values[name],
                "anyOf": [{**schema, **wider}, NULL],
            }
        ties = {key: found[name] for key, name in TIES.items()}
        tied = {"type": "object", "properties": ties, "additionalProperties": False}
        found[STRUCTURED] = {"anyOf": [tied, NULL]}
        return found | {other: found[name] for other, name in NAMES.items()}


def _ref(model: type[BaseModel]) -> Schema:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: Schema, **more: Any) -> Schema:
    return {"application/json": {"schema": schema, **more}}


def _get(summary: str, answer: type[BaseModel], *errors: int) -> Schema:
    refusals = {
        str(status): {"description": SENTENCES[status], "content": _json(_ref(answers.Error))}
        for status in (401, 500, 503, *errors)
    }
    found = {"description": summary, "content": _json(_ref(answer))}
    return {"summary": summary, "responses": {"200": found, **refusals}}


def _post(summary: str, shape: type[BaseModel], answer: type[BaseModel], example: Any) -> Schema:
    operation = _get(summary, answer, 400, 413, 415, 429)
    operation["requestBody"] = {"required": True, "content": _json(_ref(shape), example=example)}
    operation["responses"]["200"]["headers"] = {
        HEADER: {
            "description": "What of the request is not known here, and was ignored.",
            "schema": {"type": "string"},
        }
    }
    return operation


def _anthropic(operation: Schema) -> Schema:
    """Return an operation with errors in Anthropic's shape."""
    for status, answer in operation["responses"].items():
        if status != "200":
            answer["content"] = _json(_ref(anthropic.MessageError))
    return operation


def _named_event() -> Schema:
    """Return a JSON schema of an event of Anthropic's."""
    either = {"anyOf": [_ref(anthropic.MessageEvent), _ref(anthropic.MessageError)]}
    data = {
        "type": "string",
        "contentMediaType": "application/json",
        "contentSchema": either,
    }
    return {
        "type": "object",
        "description": "Server-sent events by their names, whose data is a MessageEvent.",
        "properties": {"event": {"type": "string"}, "data": data},
        "required": ["event", "data"],
    }


def _streamed(
    operation: Schema, chunk: type[BaseModel], *, end: tuple[str, ...] = ("[DONE]",)
) -> None:
    """Describe what is answered where a stream is asked for: each of its events."""
    last = f", and at the end {end[0]}" if end else ""
    whole = f"Server-sent events, whose data is a {chunk.__name__}{last}."
    either: Schema = {"anyOf": [_ref(chunk), _ref(answers.Error)]}
    content = {"contentMediaType": "application/json", "contentSchema": either}
    data = {"type": "string", "anyOf": [*({"const": one} for one in end), content]}
    operation["responses"]["200"]["content"]["text/event-stream"] = {
        "schema": {
            "type": "object",
            "description": whole,
            "properties": {"data": data},
            "required": ["data"],
        }
    }


def _named(operation: Schema) -> Schema:
    operation["parameters"] = [
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    ]
    return operation


def _paged(operation: Schema) -> Schema:
    """Describe which page of a list is asked for."""
    asked = {
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "order": {"enum": ["asc", "desc"]},
        "after": {"type": "string"},
    }
    operation["parameters"] += [
        {"name": name, "in": "query", "schema": schema} for name, schema in asked.items()
    ]
    return operation
