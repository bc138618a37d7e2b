"""chat.web.api.anthropic.errors and refusals: what goes wrong, in Anthropic's shape."""

import json
from typing import Any

import pytest

from chat.errors import EngineError
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error
from tests.web.api.anthropic.support import ask, fault


def tired(prompt: str) -> str:
    raise EngineError("The model is tired.")


@pytest.mark.parametrize(
    ("method", "path", "status", "type"),
    [
        ("GET", "/messages", 405, "invalid_request_error"),
        ("POST", "/messages/batches", 404, "not_found_error"),
        ("GET", "/messages/batches/1", 404, "not_found_error"),
        ("POST", "/messages", 415, "invalid_request_error"),
        ("POST", "//messages/", 415, "invalid_request_error"),
        ("POST", "/messages/count_tokens", 415, "invalid_request_error"),
    ],
)
async def test_what_is_not_there_is_refused_in_that_shape(
    method: str, path: str, status: int, type: str
) -> None:
    answer = await Programs(ScriptedEngine()).client.request(method, f"http://here/v1{path}")
    assert fault(answer, status)["type"] == type


async def test_other_addresses_keep_openais() -> None:
    client = Programs(ScriptedEngine()).client
    for path in ("/messagesx", "/messages.json", "/x/messages"):
        error(await client.get(path), 404)
    error(await client.get("/chat/completions"), 405)


async def test_a_key_is_asked_for_in_that_shape() -> None:
    programs = Programs(ScriptedEngine(), api_key="secret")
    for path in ("/messages", "/messages/count_tokens", "/messages/x"):
        refused = fault(await programs.post(path, {"messages": HI}), 401)
        assert refused["type"] == "authentication_error"
        assert "x-api-key" in refused["message"]


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue"}])
async def test_who_wants_a_thread_kept_is_told_as_clients_understand(thread: Any) -> None:
    answer = await ask(Programs(ScriptedEngine()), thread=thread)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["message"] == "thread is not known here."
    assert error["details"] == {"error_code": "thread_unsupported_request"}


async def test_a_message_that_is_too_long_says_so() -> None:
    long = [{"role": "user", "content": "x" * 1900}]
    refused = fault(await ask(Programs(ScriptedEngine()), messages=long), 400)
    assert refused["type"] == "invalid_request_error"
    assert refused["message"].startswith("The prompt is too long: your message takes 1,9")


async def test_a_server_that_ends_says_so() -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.gate.shut = True
    answer = await ask(programs)
    assert fault(answer, 503)["type"] == "overloaded_error"
    assert int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_full_queue_is_a_429_that_says_when_to_come_back(stream: bool) -> None:
    programs = Programs(ScriptedEngine(), max_waiting=0)
    with programs.chat.gate.enter():
        answer = await ask(programs, stream=stream)
    assert fault(answer, 429)["type"] == "rate_limit_error"
    assert int(answer.headers["retry-after"]) > 0


async def test_an_engine_that_fails_is_a_500_with_its_sentence() -> None:
    answer = await ask(Programs(ScriptedEngine(tired)))
    assert fault(answer, 500) == {"type": "api_error", "message": "The model is tired."}


async def test_an_error_on_the_way_is_the_last_event_of_a_stream() -> None:
    answer = await ask(Programs(ScriptedEngine(tired, partly="partly")), stream=True)
    assert answer.status_code == 200
    *_, delta, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert "text_delta" in delta
    name, data = last.split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: ")) == {
        "type": "error",
        "error": {"type": "api_error", "message": "The model is tired."},
        "request_id": None,
    }
