"""chat.backend.door: nobody comes in before there is a model, nor once it is to end."""

import asyncio

import httpx
from starlette.types import Receive, Scope, Send

from chat.backend.app import build
from chat.backend.door import Door
from chat.settings import Settings
from tests.support.backends import asking, choices, ids
from tests.support.fakes import END, ScriptedEngine, chat_with
from tests.support.programs import error


def client_of(door: Door) -> httpx.AsyncClient:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await door(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def assert_closed(client: httpx.AsyncClient, status: str) -> None:
    health = await client.get("/health")
    assert (health.status_code, health.json()) == (503, {"status": status})
    for refused in (
        await client.get("/v1/models"),
        await client.post("/v1/completions", json=asking()),
    ):
        assert status in error(refused, 503)["message"]
        assert int(refused.headers["retry-after"]) > 0
    assert (await client.get("/live")).status_code == 200


async def test_while_the_model_loads_who_asks_is_to_come_again() -> None:
    await assert_closed(client_of(Door()), "loading")


async def test_who_is_in_is_answered_to_the_end_and_no_one_else() -> None:
    engine, door = ScriptedEngine(lambda _: "hello", pace=0.05), Door()
    door.open(build(chat_with(engine), Settings()))
    client = client_of(door)
    assert (await client.get("/health")).json() == {"status": "ready"}
    body = asking(stream=True)
    replies = [asyncio.create_task(client.post("/v1/completions", json=body)) for _ in range(2)]
    while not engine.active or door.inside < 2:
        await asyncio.sleep(0.01)
    door.close()
    await assert_closed(client, "draining")
    assert door.inside == 2
    for answer in await asyncio.gather(*replies):  # who waits in line too
        assert [id for one in choices(answer) for id in one["token_ids"]] == [*ids("hello"), END]
    assert door.inside == 0
