"""The backend around scripted engines: in this process, and at a port."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from chat.backend.app import build
from chat.core.chat import Chat
from chat.core.sampling import OPTIONAL
from chat.settings import Settings
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.ports import free_port
from tests.support.waiting import until

ALL = frozenset(OPTIONAL)


class Able(ScriptedEngine):
    """Claims to do all that there is."""

    supports = ALL


def ids(text: str) -> list[int]:
    """Return the ids of a text in scripted engines."""
    return [ord(letter) for letter in text]


def asking(**fields: Any) -> dict[str, Any]:
    """Return a request."""
    return {"prompt": ids("hi"), "max_tokens": 50, "return_token_ids": True, **fields}


class Backend:
    """What a front-end can ask of it, without a server."""

    def __init__(self, engine: Any, chat: Chat | None = None, **settings: Any) -> None:
        self.engine = engine
        chosen = Settings(**settings)
        self.chat = chat or chat_with(engine, chosen.max_waiting)
        transport = httpx.ASGITransport(build(self.chat, chosen))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://here")

    async def completes(self, headers: Any = None, **fields: Any) -> httpx.Response:
        return await self.posts(json.dumps(asking(**fields)).encode(), headers)

    async def streams(self, **fields: Any) -> httpx.Response:
        return await self.completes(stream=True, **fields)

    async def posts(self, body: bytes, headers: Any = None) -> httpx.Response:
        headers = {"Content-Type": "application/json", **(headers or {})}
        return await self.client.post("/v1/completions", content=body, headers=headers)


def choices(answer: httpx.Response) -> list[Any]:
    """Return the choice in each event of a stream, which has to say that it is done."""
    assert answer.status_code == 200, answer.text
    *events, done, rest = answer.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    found = [json.loads(event[6:]) for event in events if event.startswith("data: ")]
    return [choice for one in found for choice in one["choices"]]


@contextmanager
def served(chat: Chat, **settings: Any) -> Iterator[str]:
    """Serve it at a port until the end of the block; gives its address."""
    port = free_port()
    app = build(chat, Settings(**settings))
    config = uvicorn.Config(app, port=port, log_config=None, lifespan="off", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
