"""chat.web.api.errors: what goes wrong, in OpenAI's shape."""

import logging
from collections.abc import Callable

import pytest

from chat.errors import EngineError
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs, error, events


async def test_a_message_that_is_too_long_says_so_as_openai_does() -> None:
    programs = Programs(ScriptedEngine())
    refused = error(await programs.chats(messages=[{"role": "user", "content": "x" * 1900}]), 400)
    assert refused["message"].startswith("The prompt is too long: your message takes 1,9")
    assert (refused["param"], refused["code"]) == ("messages", "context_length_exceeded")
    assert error(await programs.completes(prompt="x" * 1900), 400)["param"] == "prompt"


async def test_a_full_queue_is_a_429_that_says_when_to_come_back() -> None:
    programs = Programs(ScriptedEngine(), max_waiting=0)
    with programs.chat.gate.enter():
        for stream in (False, True):
            answer = await programs.chats(stream=stream)
            refused = error(answer, 429)
            assert refused["message"].startswith("The queue is full: 1 people")
            assert refused["code"] == "rate_limit_exceeded"
            assert int(answer.headers["retry-after"]) > 0
    assert (await programs.chats()).status_code == 200


async def test_a_server_that_ends_is_a_503_that_says_when_to_come_back() -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.gate.shut = True
    for stream in (False, True):
        answer = await programs.chats(stream=stream)
        refused = error(answer, 503)
        assert refused["message"].startswith("The server is being stopped")
        assert (refused["type"], refused["code"]) == ("server_error", "draining")
        assert int(answer.headers["retry-after"]) > 0
    assert programs.engine.prompts == []


async def test_a_line_is_one_to_every_client() -> None:
    """httpx's `iter_lines`, for one, parts lines where str.splitlines does."""
    said = "a\u2028b\u2029c\x85d"
    answer = await Programs(ScriptedEngine(lambda prompt: said)).chats(stream=True)
    assert (
        "".join(
            one["choices"][0]["delta"].get("content", "")
            for one in events(answer)
            if one != "[DONE]"
        )
        == said
    )
    lines = [line for line in answer.text.splitlines() if line]
    assert all(line.startswith("data: ") for line in lines)


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"NaN", b"Infinity"])
async def test_a_number_that_json_cannot_hold_is_refused(number: bytes) -> None:
    body = b'{"messages": [{"role": "user", "content": "hi"}], "top_p": ' + number + b"}"
    assert error(await Programs(ScriptedEngine()).post("/chat/completions", body), 400)


def fail_with(error: Exception) -> Callable[[str], str]:
    def script(prompt: str) -> str:
        raise error

    return script


async def test_an_engine_that_fails_is_a_500_with_its_sentence() -> None:
    programs = Programs(ScriptedEngine(fail_with(EngineError("The model is tired."))))
    failed = error(await programs.chats(), 500)
    assert (failed["message"], failed["type"]) == ("The model is tired.", "server_error")
    assert programs.chat.gate.size == 0


async def test_an_error_on_the_way_is_the_last_event_of_a_stream() -> None:
    engine = ScriptedEngine(fail_with(EngineError("The model is tired.")), partly="partial words")
    *chunks, failed = events(await Programs(engine).chats(stream=True))
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == "partial words"
    assert failed["error"]["message"] == "The model is tired."


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unforeseen_error_shows_neither_its_text_nor_a_traceback(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    programs = Programs(ScriptedEngine(fail_with(RuntimeError("at /home/secret: my diary"))))
    messages = [{"role": "user", "content": "my diary"}]
    answer = await programs.chats(messages=messages, stream=stream)
    assert "Something went wrong on the server. Please try again." in answer.text
    assert "RuntimeError" in caplog.text
    assert not any(word in answer.text + caplog.text for word in ("diary", "secret"))
    assert "Traceback" not in answer.text


async def test_a_refusal_leaves_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chat")
    await Programs(ScriptedEngine()).chats(messages=[{"role": "diary", "content": "diary"}])
    assert caplog.text == ""
