"""chat.web.api.models: an adapter is named with the model, as base:adapter."""

from datetime import datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from chat.settings import Settings
from chat.web.api import routes as api
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error

BASE = "owner/name-GGUF:name.gguf"
ADAPTERS = ("tales", "poems", "none")
#: Requests to each address that writes something.
ASKED: dict[str, dict[str, Any]] = {
    "chat/completions": {"messages": HI},
    "completions": {"prompt": "Hi"},
    "responses": {"input": "Hi"},
    "messages": {"messages": HI, "max_tokens": 20},
}


def programs(adapters: tuple[str, ...] = ADAPTERS) -> tuple[ScriptedEngine, httpx.AsyncClient]:
    engine = ScriptedEngine(lambda prompt: "Hello.")
    made = Programs(engine)
    made.chat.name, made.chat.adapters = BASE, adapters
    app = Starlette(routes=api.routes(made.chat, Settings()))
    transport = httpx.ASGITransport(app)
    return engine, httpx.AsyncClient(transport=transport, base_url="http://a/v1/")


async def test_the_model_is_listed_alone_and_with_each_adapter() -> None:
    _, client = programs()
    listed = (await client.get("models")).json()["data"]
    assert [model["id"] for model in listed] == [BASE, *(f"{BASE}:{name}" for name in ADAPTERS)]
    for model in listed:
        assert (await client.get(f"models/{model['id']}")).json() == model
    missing = error(await client.get(f"models/{BASE}:other"), 404)
    assert missing["message"] == (
        f"There is no such model here; there is {', '.join(model['id'] for model in listed)}."
    )


async def test_anthropics_clients_find_what_they_read() -> None:
    _, client = programs()
    listed = (await client.get("models")).json()
    first, last = listed["data"][0], listed["data"][-1]
    assert (listed["first_id"], listed["last_id"]) == (first["id"], last["id"])
    assert listed["has_more"] is False
    assert (first["type"], first["display_name"]) == ("model", BASE)
    assert datetime.fromisoformat(first["created_at"]).timestamp() == first["created"]


@pytest.mark.parametrize("where", ASKED)
async def test_a_request_has_the_adapter_that_it_names(where: str) -> None:
    engine, client = programs()
    for model, adapter in (
        (BASE, ""),
        (f"{BASE}:poems", "poems"),
        (f"{BASE}:none", "none"),
        ("gpt-5", ""),
        ("other:poems", ""),
    ):
        answer = (await client.post(where, json={**ASKED[where], "model": model})).json()
        assert engine.samplings[-1].adapter == adapter
        assert answer["model"] == (f"{BASE}:{adapter}" if adapter else BASE)


@pytest.mark.parametrize("where", ASKED)
async def test_an_adapter_that_is_not_there_is_refused_and_costs_nothing(where: str) -> None:
    engine, client = programs()
    for model in (f"{BASE}:other", f"{BASE}:", f"{BASE}:poems:poems"):
        answer = await client.post(where, json={**ASKED[where], "model": model})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"] == (
            f"There is no such model here; there is {BASE}, {BASE}:tales, {BASE}:poems, "
            f"{BASE}:none."
        )
    assert not engine.samplings


async def test_it_can_be_named_by_itself_but_not_otherwise_than_with_the_model() -> None:
    engine, client = programs()
    where, request = "chat/completions", {"messages": HI}
    await client.post(where, json={**request, "adapter": "poems"})
    assert engine.samplings[-1].adapter == "poems"
    unknown = error(await client.post(where, json={**request, "adapter": "other"}), 400)
    assert unknown["message"] == "There is no such adapter here; there is tales, poems, none."
    assert unknown["param"] == "adapter"
    both = {**request, "adapter": "poems", "model": f"{BASE}:tales"}
    error(await client.post(where, json=both), 400)


async def test_without_adapters_any_name_of_a_model_will_do() -> None:
    engine, client = programs(())
    answer = await client.post("chat/completions", json={"messages": HI, "model": f"{BASE}:x"})
    assert answer.json()["model"] == BASE
    assert engine.samplings[-1].adapter == ""
    refused = error(
        await client.post("chat/completions", json={"messages": HI, "adapter": "x"}), 400
    )
    assert refused["message"] == "This model has no adapters."
