"""How many tokens the prompt of a request would have: {"input_tokens"}."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.web.api.anthropic.shapes import CountBody
from chat.web.api.body import body_of
from chat.web.api.errors import json_bytes
from chat.web.api.ignored import told
from chat.web.api.prompting import prompted
from chat.web.api.request import asked
from prompts import Tooled


class CountTokens:
    """The endpoint; `system_prompt` is for who brings none, as where a reply is asked for."""

    def __init__(self, chat: Chat, system_prompt: str, *, strict: bool) -> None:
        self._chat = chat
        self._system_prompt = system_prompt
        self._strict = strict

    async def answer(self, request: Request) -> Response:
        """Answer with a number."""
        read = await asked(CountBody, await body_of(request), strict=self._strict)
        chat, conversation = await asyncio.to_thread(self._conversation, read.body)
        counted = json_bytes({"input_tokens": len(await chat.prompt(conversation))})
        return Response(counted, headers=told(read.unknown), media_type="application/json")

    def _conversation(self, body: CountBody) -> tuple[Chat, Conversation]:
        chat, _ = prompted(self._chat, body.offer, {}, has_calls=body.has_calls)
        (ask,) = body.asks(self._system_prompt, tooled=isinstance(chat.format, Tooled))
        return chat, ask.conversation
