"""chat.web.api.routes: what is there, and for whom."""

import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from chat.settings import Settings
from chat.web.api import routes as api
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error


async def test_the_model_is_listed_by_the_name_that_replies_bear() -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.name = "owner/name"
    app = Starlette(routes=api.routes(programs.chat, Settings()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        listed = (await client.get("/v1/models")).json()
        answer = (await client.post("/v1/chat/completions", json={"messages": HI})).json()
    (model,) = listed["data"]
    assert listed["object"] == "list"
    assert (model["id"], model["object"]) == ("owner/name", "model")
    assert answer["model"] == "owner/name"


@pytest.mark.parametrize("name", ["model", "owner/name", "owner/name-GGUF:name.Q4_K_M.gguf", "a b"])
async def test_the_model_is_there_by_its_name(name: str) -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.name = name
    app = Starlette(routes=api.routes(programs.chat, Settings()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        (listed,) = (await client.get("/v1/models")).json()["data"]
        for path in (name, name.replace("/", "%2F"), f"{name}/"):
            assert (await client.get(f"/v1/models/{path}")).json() == listed
        for path in ("other", f"{name}x", "owner", "owner/other"):
            missing = error(await client.get(f"/v1/models/{path}"), 404)
            assert missing["message"] == f"There is no such model here; there is {name}."
            assert (missing["param"], missing["code"]) == ("model", "model_not_found")
        assert (await client.delete(f"/v1/models/{name}")).status_code == 405


@pytest.mark.parametrize("path", ["", "/", "//"])
async def test_slashes_too_many_are_none(path: str) -> None:
    client = Programs(ScriptedEngine()).client
    for before in ("http://here/v1/", "http://here/v1//"):
        assert (await client.get(f"{before}models{path}")).json()["object"] == "list"
        for where in ("chat/completions", "chat//completions"):
            answer = await client.post(f"{before}{where}{path}", json={"messages": HI})
            assert answer.json()["object"] == "chat.completion"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "/files", 404),
        ("POST", "/chat", 404),
        ("GET", "/chat/completions", 405),
        ("DELETE", "/models", 405),
    ],
)
async def test_what_is_not_there_is_refused_in_the_same_shape(
    method: str, path: str, status: int
) -> None:
    answer = await Programs(ScriptedEngine()).client.request(method, f"{path}")
    assert error(answer, status)["message"].endswith(".")


KEYS = [
    ({}, False),
    ({"Authorization": "Bearer secret"}, True),
    ({"Authorization": "bearer secret "}, True),
    ({"Authorization": "Bearer secre"}, False),
    ({"Authorization": "Bearer secrets"}, False),
    ({"Authorization": "Basic secret"}, False),
    ({"Authorization": "secret"}, False),
    ({"Authorization": b"Bearer secr\xc3\xa9t"}, False),
    ({"Cookie": "secret"}, False),
    ({"x-api-key": "secret"}, True),
    ({"X-Api-Key": " secret "}, True),
    ({"x-api-key": "secrets"}, False),
    ({"x-api-key": "Bearer secret"}, False),
    ({"x-api-key": ""}, False),
    ({"x-api-key": b"secr\xc3\xa9t"}, False),
    ({"x-api-key": "secret", "Authorization": "Bearer other"}, True),
    ({"x-api-key": "other", "Authorization": "Bearer secret"}, True),
    ({"x-api-key": "other", "Authorization": "Basic secret"}, False),
]


@pytest.mark.parametrize(("headers", "right"), KEYS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("GET", "/models/model"),
        ("GET", "/models/"),
        ("GET", "/openapi.json"),
        ("POST", "/chat/completions"),
        ("POST", "/completions"),
        ("POST", "/tokenize"),
        ("GET", "/x"),
    ],
)
async def test_a_key_is_asked_for_everywhere_if_one_is_set(
    headers: dict[str, Any], right: bool, method: str, path: str
) -> None:
    programs = Programs(ScriptedEngine(), api_key="secret")
    answer = await programs.client.request(method, path, headers=headers)
    if right:
        assert answer.status_code != 401
    else:
        assert error(answer, 401)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.text


@pytest.mark.parametrize("key", ["schlüssel ✓", "voilà", "Å"])
async def test_a_key_can_be_of_any_letters(key: str) -> None:
    programs = Programs(ScriptedEngine(), api_key=f" {key}\n")
    right = {"Authorization": f"Bearer {key}".encode()}
    assert (await programs.client.get("/models", headers=right)).status_code == 200
    other = {"x-api-key": key.encode()}
    assert (await programs.client.get("/models", headers=other)).status_code == 200
    wrong = {"Authorization": "Bearer schlüssel".encode()}
    assert (await programs.client.get("/models", headers=wrong)).status_code == 401


async def test_with_a_login_and_without_a_key_there_is_no_way_around_the_login() -> None:
    programs = Programs(ScriptedEngine(), auth="ann:secret")
    bearers = ({"Authorization": "Bearer secret"}, {"Authorization": "Bearer "})
    for headers in ({}, {"x-api-key": "secret"}, {"x-api-key": ""}, *bearers):
        answer = await programs.client.get("/models", headers=headers)
        assert "--api-key" in error(answer, 401)["message"]
    both = Programs(ScriptedEngine(), auth="ann:secret", api_key="key")
    right = {"Authorization": "Bearer key"}
    assert (await both.client.get("/models", headers=right)).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_what_a_page_of_another_site_could_send_is_not_answered(kind: str) -> None:
    programs = Programs(ScriptedEngine())
    body = json.dumps({"messages": HI})
    headers = {"Content-Type": kind} if kind else {}
    answer = await programs.client.post("/chat/completions", content=body, headers=headers)
    assert "application/json" in error(answer, 415)["message"]
    assert programs.engine.prompts == []
