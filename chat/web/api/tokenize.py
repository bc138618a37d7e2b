"""Texts and conversations to token ids and back: what the model would read.

    POST /tokenize      {"prompt"} or {"messages"} -> {"count", "max_model_len", "tokens"}
    POST /detokenize    {"tokens"} -> {"prompt"}

Source: vLLM's server. Unlike there, a control token that someone typed is text, as it is
in every prompt here.
"""

import asyncio
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.core.conversation import Conversation, clean
from chat.core.fitting import CHARACTERS_PER_TOKEN
from chat.core.sampling import Whole
from chat.core.shares import asking
from chat.errors import BadRequest, RequestError, TooLong
from chat.web.api import fields
from chat.web.api.body import body_of
from chat.web.api.errors import json_answer
from chat.web.api.ignored import told
from chat.web.api.messages import Messages, conversation_in, have_calls
from chat.web.api.prompting import prompted, with_options
from chat.web.api.request import Asked, Body, asked
from chat.web.api.shape import ListOf, Shape
from chat.web.api.thinking import Options, switched
from chat.web.api.tools import AUTO, FunctionTool, offered
from prompts import Message, Tooled
from prompts.formats.plain import Plain
from prompts.marks import Thinking


def _one_of_both(schema: dict[str, Any]) -> None:
    """Say that there is a text or there are messages."""
    both = ("prompt", "messages")
    schema["oneOf"] = [
        {
            "required": [one],
            "properties": {one: {"not": {"type": "null"}}, other: {"type": "null"}},
        }
        for one, other in (both, both[::-1])
    ]


class TokenizeBody(Shape):
    """A text, as a base model reads it, or a conversation, as it is prompted."""

    known = fields.TOKENIZE
    model_config = ConfigDict(json_schema_extra=_one_of_both)

    model: str = ""
    prompt: str | None = None
    messages: Messages = Field(default_factory=list)
    tools: ListOf[FunctionTool] = Field(default_factory=list)
    #: Whether a text begins with what the tokenizer puts before one.
    add_special_tokens: bool = True
    return_token_strs: bool = False
    chat_template_kwargs: Options = Field(default_factory=dict)


class DetokenizeBody(Shape):
    """Ids of tokens."""

    model: str = ""
    tokens: ListOf[Annotated[Whole, Field(json_schema_extra={"minimum": 0})]]


class Tokenizing:
    """The two endpoints; the rest is for who says nothing of it, as where a reply is asked for."""

    def __init__(
        self, chat: Chat, system_prompt: str, thinking: Thinking = "auto", *, strict: bool
    ) -> None:
        self._chat = chat
        self._thinking = thinking
        self._system_prompt = system_prompt
        self._strict = strict

    async def tokenize(self, request: Request) -> Response:
        """Answer with ids."""
        read = await self._read(TokenizeBody, request)
        ids = await self._ids(read.body)
        strings = None
        if read.body.return_token_strs:
            show = self._chat.tokens.show
            strings = await asyncio.to_thread(lambda: [show([id]) for id in ids])
        window = self._chat.engine.window
        found = {"count": len(ids), "max_model_len": window, "tokens": ids, "token_strs": strings}
        return json_answer(found, told(read.unknown))

    async def detokenize(self, request: Request) -> Response:
        """Answer with a text."""
        read = await self._read(DetokenizeBody, request)
        with self._chat.shares.place(asking.get()) as share:
            text = await asyncio.to_thread(self._text, read.body.tokens)
            share.count()
        return json_answer({"prompt": text}, told(read.unknown))

    async def _read(self, shape: type[Body], request: Request) -> Asked[Body]:
        return await asked(shape, await body_of(request), strict=self._strict)

    async def _ids(self, body: TokenizeBody) -> list[int]:
        of_messages = "messages" in body.model_fields_set
        try:
            if of_messages and body.prompt is None:
                chat, found = await asyncio.to_thread(self._conversation, body)
                return await chat.prompt(found)
            if body.prompt is None:
                raise BadRequest("prompt is missing.")
            if of_messages:
                raise BadRequest("prompt says something else than messages; send one.")
            text = Conversation([Message("user", clean(body.prompt))])
            format = self._chat.plain if body.add_special_tokens else Plain()
            return await self._chat.prompting(format).prompt(text)
        except RequestError as error:
            if error.field == "options":
                error.field = "chat_template_kwargs"
            if error.field.startswith(("tools", "chat_template_kwargs")):
                raise
            error.field = "prompt" if body.prompt is not None or not of_messages else "messages"
            raise

    def _conversation(self, body: TokenizeBody) -> tuple[Chat, Conversation]:
        offer = offered(body.tools, AUTO, parallel=True)
        chat, _ = prompted(self._chat, offer, {}, has_calls=have_calls(body.messages))
        options = body.chat_template_kwargs
        chat = with_options(chat, options, switched(options) or self._thinking)
        known = isinstance(chat.format, Tooled)
        return chat, conversation_in(body.messages, self._system_prompt, tooled=known)

    def _text(self, ids: list[int]) -> str:
        most = self._chat.engine.window * CHARACTERS_PER_TOKEN
        if len(ids) > most:
            raise TooLong(f"There are {len(ids):,} tokens; the limit is {most:,}.", "tokens")
        for place, id in enumerate(ids):
            if not self._chat.tokens.knows(id):
                where = f"tokens[{place}]"
                raise BadRequest(f"{where} is no token of this model.", where)
        return self._chat.tokens.show(ids)
