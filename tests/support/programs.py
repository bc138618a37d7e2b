"""Programs that ask the API around a scripted engine, without a server."""

import json
from typing import Any

import httpx
from starlette.applications import Starlette

from chat.core.chat import Chat
from chat.settings import Settings
from chat.web.api import routes as api
from prompts import PromptFormat
from tests.support.fakes import END as END_ID
from tests.support.fakes import chat_with

HI = [{"role": "user", "content": "hi"}]
END = chr(END_ID)


class Programs:
    """What a program can ask of the API."""

    def __init__(
        self,
        engine: Any,
        max_waiting: int = 32,
        format: PromptFormat | None = None,
        chat: Chat | None = None,
        **settings: Any,
    ) -> None:
        self.engine = engine
        self.chat = chat or chat_with(engine, max_waiting, format)
        chosen = Settings(**settings)
        app = Starlette(routes=api.routes(self.chat, chosen))
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://here/v1")

    async def chats(self, **fields: Any) -> httpx.Response:
        return await self.post("/chat/completions", {"messages": HI, **fields})

    async def completes(self, **fields: Any) -> httpx.Response:
        return await self.post("/completions", {"prompt": "Once", **fields})

    async def post(self, path: str, body: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=headers)


def events(answer: httpx.Response) -> list[Any]:
    """Return the data of the events of a stream, the last of which says that it is done."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = [line for line in answer.text.split("\n\n") if line]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert len(data) == sum(not line.startswith(":") for line in lines)
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    return dict(body["error"])


async def prompted(programs: Programs, *messages: tuple[str, Any]) -> str:
    """Return the prompt that a conversation becomes."""
    sent = [{"role": role, "content": content} for role, content in messages]
    assert (await programs.chats(messages=sent)).status_code == 200
    return programs.engine.prompts[-1].replace(END, "|")
