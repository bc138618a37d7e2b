"""chat.backend.models: what a front-end has to know before it asks."""

from chat.core.chat import Chat
from chat.core.gate import Gate
from tests.support.backends import ALL, Able, Backend
from tests.support.fakes import END, CharTokens, LineFormat
from tests.support.programs import error


def chat(engine: Able, *adapters: str) -> Chat:
    suits = {"temperature": 0.7, "top_k": 20}
    format = LineFormat()
    return Chat(
        engine, CharTokens(), format, Gate(4, 1), name="tiny", suited=suits, adapters=adapters
    )


async def test_the_model_and_what_its_engine_can_do() -> None:
    engine = Able(lambda _: "x")
    listed = (await Backend(engine, chat(engine)).client.get("/v1/models")).json()
    assert listed["object"] == "list"
    (model,) = listed["data"]
    assert model.pop("created") > 0
    assert model == {
        "id": "tiny",
        "object": "model",
        "owned_by": "fourbit",
        "root": "tiny",
        "max_model_len": 2000,
        "parallel": 1,
        "supports": sorted(ALL),
        "stop_token_ids": [END],
        "generation": {"temperature": 0.7, "top_k": 20},
    }


async def test_and_one_more_for_each_adapter() -> None:
    engine = Able(lambda _: "x")
    backend = Backend(engine, chat(engine, "tales", "none"))
    listed = (await backend.client.get("/v1/models")).json()["data"]
    assert [(one["id"], one.get("parent")) for one in listed] == [
        ("tiny", None),
        ("tiny:tales", "tiny"),
        ("tiny:none", "tiny"),
    ]
    for name in ("tiny", "tiny:tales", "tiny:none"):
        answer = await backend.completes(model=name)
        assert answer.json()["model"] == name
    assert [one.adapter for one in engine.samplings] == ["", "tales", "none"]
    assert "tiny:tales" in error(await backend.completes(model="tiny:poems"), 404)["message"]
