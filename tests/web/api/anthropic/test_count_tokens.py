"""chat.web.api.anthropic.count_tokens: as many as the model would read."""

from typing import Any

import pytest

from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs
from tests.web.api.anthropic.support import ROME, TIME, WEATHER, ask, fault, knowing_tools

USE = {"type": "tool_use", "id": "1", "name": "get_weather", "input": ROME}
CALLED = [
    {"role": "assistant", "content": [USE]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "a"}]},
]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": HI},
        {"messages": HI, "system": "Rhyme."},
        {"messages": HI, "system": [{"type": "text", "text": "Rhyme."}], "model": "claude"},
        {"messages": [*HI, {"role": "assistant", "content": "He"}]},
        {"messages": HI, "tools": [WEATHER, TIME]},
        {"messages": HI, "tools": [WEATHER], "tool_choice": {"type": "any"}},
        {"messages": [*HI, *CALLED], "tools": [WEATHER]},
        {"messages": [*HI, *CALLED]},
    ],
)
async def test_it_counts_what_a_reply_to_the_same_would_read(body: dict[str, Any]) -> None:
    reply = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
    programs = knowing_tools(lambda prompt: reply, strict_api=True)
    counted = await programs.post("/messages/count_tokens", body)
    assert counted.status_code == 200, counted.text
    assert programs.engine.prompts == []
    usage = (await ask(programs, **body)).json()["usage"]
    assert counted.json() == {"input_tokens": usage["input_tokens"]}


async def test_what_is_not_known_is_named_or_refused() -> None:
    body = {"messages": HI, "colour": 1}
    answer = await Programs(ScriptedEngine()).post("/messages/count_tokens", body)
    assert answer.headers["x-ignored-fields"] == "colour"
    strict = Programs(ScriptedEngine(), strict_api=True)
    refused = fault(await strict.post("/messages/count_tokens", body), 400)
    assert refused["message"] == "colour is not known here."


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": HI, "tools": [TIME]}])
async def test_what_could_not_be_answered_is_not_counted(body: Any) -> None:
    programs = Programs(ScriptedEngine())
    fault(await programs.post("/messages/count_tokens", body), 400)
