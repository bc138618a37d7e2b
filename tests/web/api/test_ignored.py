"""chat.web.api.ignored: what is not known is ignored, and named."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chat.web.api import ignored
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error, events

PARTS = [{"type": "text", "text": "hi", "colour": "red"}]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignored, "_logged", set())


async def sent(programs: Programs, **fields: Any) -> httpx.Response:
    answer = await programs.chats(**fields)
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({}, None),
        ({"temprature": 1}, "temprature"),
        ({"temprature": None}, None),
        ({"one": 1, "two": [{"temperature": 9}]}, "one, two"),
        ({"messages": [{**HI[0], "colour": "red"}]}, "messages[0].colour"),
        ({"messages": [{**HI[0], "colour": "red"}] * 3}, "messages[0].colour"),
        (
            {"messages": [*HI, {**HI[0], "colour": 1, "size": 2}], "colour": 3},
            "colour, messages[1].colour, messages[1].size",
        ),
        ({"messages": [{"role": "user", "content": PARTS}]}, "messages[0].content[0].colour"),
        ({"stream_options": {"include": True}}, "stream_options.include"),
        ({"response_format": {"type": "text", "colour": 1}}, "response_format.colour"),
        ({"a b\r\nset-cookie: c=d": 1}, "a?b??set-cookie??c?d"),
        ({"größe": 1, "🙂": 2}, "gr??e, ?"),
        ({"a": 1, "": 2}, "a, ?"),
        ({"x" * 500: 1}, "x" * 64),
    ],
)
async def test_the_answer_names_what_was_ignored(fields: Any, header: str | None) -> None:
    programs = Programs(ScriptedEngine())
    assert (await sent(programs, **fields)).headers.get("x-ignored-fields") == header
    streamed = await sent(programs, **fields, stream=True)
    assert streamed.headers.get("x-ignored-fields") == header
    assert events(streamed)[-1] == "[DONE]"


async def test_a_header_has_a_limit() -> None:
    names = {f"{'x' * 50}{number}": 1 for number in range(500)}
    header = (await sent(Programs(ScriptedEngine()), **names)).headers["x-ignored-fields"]
    assert len(header) < 1100
    assert header.endswith(", ...")
    assert header.count("x" * 50) > 10


def test_only_so_many_names_are_looked_at() -> None:
    class Names(list[str]):
        def __iter__(self) -> Iterator[str]:
            raise AssertionError("all of them were looked at")

    first = ", ".join("a" * 100)
    assert ignored.told("a" * 100) == {"x-ignored-fields": first}
    assert ignored.told(Names("a" * 101)) == {"x-ignored-fields": f"{first}, ..."}


async def test_the_log_names_it_once_and_never_its_value(
    caplog: pytest.LogCaptureFixture,
) -> None:
    programs = Programs(ScriptedEngine())
    for number in range(3):
        messages = [*HI] * number + [{**HI[0], "mood": "my diary"}]
        await sent(programs, diarist="my diary", messages=messages, stream=bool(number))
    assert [record.message.split(": ")[1] for record in caplog.records] == [
        "diarist",
        "messages[].mood",
    ]
    assert "my diary" not in caplog.text


async def test_the_log_cannot_be_flooded(caplog: pytest.LogCaptureFixture) -> None:
    programs = Programs(ScriptedEngine())
    for start in range(0, 500, 50):
        await sent(programs, **{f"field{number}": 1 for number in range(start, start + 50)})
    assert len(caplog.records) == 100


async def test_who_is_refused_leaves_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chat")
    await Programs(ScriptedEngine()).chats(temprature=1, temperature=9)
    await Programs(ScriptedEngine(), strict_api=True).chats(temprature=1)
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temprature": 1}, "temprature"),
        ({"messages": [{**HI[0], "colour": "red"}]}, "messages[0].colour"),
        ({"stream_options": {"include": True}}, "stream_options.include"),
        ({"größe": 1}, "größe"),
    ],
)
async def test_a_strict_api_refuses_it(fields: Any, param: str) -> None:
    programs = Programs(ScriptedEngine(), strict_api=True)
    for more in ({}, {"stream": True}):
        refused = error(await programs.chats(**fields, **more), 400)
        assert (refused["param"], refused["message"]) == (param, f"{param} is not known here.")
    assert programs.engine.prompts == []
    assert error(await programs.completes(temprature=1), 400)["param"] == "temprature"
    assert error(await programs.post("/tokenize", {"prompt": "a", "x": 1}), 400)["param"] == "x"


async def test_what_is_ignored_of_any_request_is_named() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    for path, body in [
        ("/completions", {"prompt": "a"}),
        ("/tokenize", {"prompt": "a"}),
        ("/detokenize", {"tokens": [97]}),
    ]:
        answer = await programs.post(path, {**body, "colour": 1})
        assert answer.status_code == 200
        assert answer.headers["x-ignored-fields"] == "colour"
