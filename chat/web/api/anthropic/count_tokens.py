"""How many tokens the prompt of a request would have: {"input_tokens"}."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from chat.core.chat import Chat
from chat.core.conversation import Conversation
from chat.core.sampling import Sampling
from chat.errors import RequestError
from chat.web.api.anthropic.shapes import CountBody
from chat.web.api.body import body_of
from chat.web.api.errors import json_answer
from chat.web.api.ignored import told
from chat.web.api.prompting import prompted, with_options
from chat.web.api.request import Asked, asked
from prompts import Tooled
from prompts.marks import Thinking


class CountTokens:
    """The endpoint; the rest is for who says nothing of it, as where a reply is asked for."""

    def __init__(
        self, chat: Chat, system_prompt: str, thinking: Thinking = "auto", *, strict: bool
    ) -> None:
        self._chat = chat
        self._thinking = thinking
        self._system_prompt = system_prompt
        self._strict = strict

    async def answer(self, request: Request) -> Response:
        """Answer with a number."""
        read = await asked(CountBody, await body_of(request), strict=self._strict)
        try:
            chat, conversation = await asyncio.to_thread(self._conversation, read)
            count = len(await chat.prompt(conversation))
        except RequestError as error:
            error.field = read.controls.names.get(error.field, error.field)
            raise
        return json_answer({"input_tokens": count}, told(read.unknown))

    def _conversation(self, read: Asked[CountBody]) -> tuple[Chat, Conversation]:
        body, controls = read.body, read.controls
        own = {"thinking": self._thinking}
        own |= controls.fitting(thinks=self._chat.format.thoughts is not None)
        chat, given = prompted(self._chat, body.offer, own, has_calls=body.has_calls)
        thinking = Sampling.checked(thinking=given["thinking"]).thinking
        chat = with_options(chat, controls.options, thinking)
        (ask,) = body.asks(self._system_prompt, tooled=isinstance(chat.format, Tooled))
        return chat, ask.conversation
