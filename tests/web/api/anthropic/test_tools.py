"""chat.web.api.anthropic.tools: tools offered, chosen and refused as Anthropic's clients do."""

import json
from typing import Any

import pytest

from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs
from tests.web.api.anthropic.support import ROME, TIME, WEATHER, ask, call, fault, knowing_tools

USE = {"type": "tool_use", "id": "1", "name": "get_weather", "input": ROME}


async def test_a_call_is_made_answered_and_told_of() -> None:
    def script(prompt: str) -> str:
        return "It is sunny." if "22 degrees" in prompt else call("get_weather", ROME)

    programs = knowing_tools(script, strict_api=True)
    first = (await ask(programs, tools=[WEATHER, TIME])).json()
    assert "Tells the weather." in programs.engine.prompts[0]
    assert "get_time" in programs.engine.prompts[0]
    [use] = first["content"]
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "22 degrees"}
    messages = [
        *HI,
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [result]},
    ]
    second = (await ask(programs, tools=[WEATHER, TIME], messages=messages)).json()
    assert second["content"] == [{"type": "text", "text": "It is sunny."}]
    assert second["stop_reason"] == "end_turn"
    assert json.dumps(ROME) in programs.engine.prompts[1]


async def test_calls_and_results_are_told_without_tools_too() -> None:
    programs = knowing_tools(lambda prompt: "ok")
    result = {"type": "tool_result", "tool_use_id": "1", "content": "sunny"}
    messages = [
        *HI,
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [result]},
    ]
    assert (await ask(programs, messages=messages)).status_code == 200
    assert "<tool_response>\nsunny" in programs.engine.prompts[0]


async def test_one_call_is_read_where_several_are_not_wanted() -> None:
    programs = knowing_tools(lambda prompt: call("get_time", {}) + "\n" + call("get_time", {}))
    auto = {"type": "auto", "disable_parallel_tool_use": False}
    assert len((await ask(programs, tools=[TIME], tool_choice=auto)).json()["content"]) == 2
    auto["disable_parallel_tool_use"] = True
    assert len((await ask(programs, tools=[TIME], tool_choice=auto)).json()["content"]) == 1


async def test_with_none_nothing_is_offered() -> None:
    programs = knowing_tools(lambda prompt: "ok")
    await ask(programs, tools=[WEATHER], tool_choice={"type": "none"})
    assert "get_weather" not in programs.engine.prompts[0]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "any"}, {"get_weather", "get_time"}),
        ({"type": "tool", "name": "get_weather"}, {"get_weather"}),
    ],
)
async def test_a_call_that_has_to_be_made_is_held_to_its_schema(
    choice: Any, names: set[str]
) -> None:
    rest = '{"name": "get_weather", "arguments": {"city": "Rome"}}'
    programs = knowing_tools(lambda prompt: rest)
    message = (await ask(programs, tools=[WEATHER, TIME], tool_choice=choice)).json()
    [use] = message["content"]
    assert (use["name"], use["input"]) == ("get_weather", ROME)
    schema = json.loads(programs.engine.samplings[0].json_schema)
    calls = schema.get("anyOf", [schema])
    assert {one["properties"]["name"]["const"] for one in calls} == names


async def test_tools_as_clients_write_them_are_taken() -> None:
    programs = knowing_tools(lambda prompt: "ok", strict_api=True)
    tool = {
        **WEATHER,
        "type": "custom",
        "cache_control": {"type": "ephemeral"},
        "strict": True,
        "defer_loading": False,
        "eager_input_streaming": None,
        "allowed_callers": ["direct"],
    }
    long = {**TIME, "name": "mcp__" + "x" * 120}
    answer = await ask(programs, tools=[tool, long])
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "tools[0].type must be custom, and web_search_20250305 is not offered here.",
        ),
        (
            {"tools": [WEATHER, {"type": "bash_20250124", "name": "bash"}]},
            "tools[1].type must be custom, and bash_20250124 is not offered here.",
        ),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema is missing."),
        (
            {"tools": [{"name": "a", "input_schema": "b"}]},
            "tools[0].input_schema must be a JSON schema.",
        ),
        (
            {"tools": [{**TIME, "name": "a b"}]},
            "tools[0].name must be 1 to 128 letters, digits and _ . -.",
        ),
        ({"tools": [TIME, TIME]}, "tools has two functions called get_time."),
        (
            {"tools": [{**TIME, "allowed_callers": ["code_execution_20250825"]}]},
            'tools[0].allowed_callers must be ["direct"].',
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "tool", "name": "a"}},
            "tool_choice names a, which is not in tools.",
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "tool"}},
            "tool_choice must have a name where its type is tool, and else not.",
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "any", "name": "get_time"}},
            "tool_choice must have a name where its type is tool, and else not.",
        ),
        (
            {"messages": [*HI, {"role": "assistant", "content": [USE]}]},
            "The last message calls tools; send what they returned too.",
        ),
        ({"tool_choice": {"type": "any"}}, "tool_choice asks for a call, and there are no tools."),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(fields: Any, sentence: str) -> None:
    programs = knowing_tools(lambda prompt: "ok")
    assert fault(await ask(programs, **fields), 400)["message"] == sentence
    assert programs.engine.prompts == []


async def test_a_schema_that_no_call_can_be_held_to_is_refused_by_its_path() -> None:
    programs = knowing_tools(lambda prompt: "ok")
    tool = {"name": "a", "input_schema": {"properties": {"b": {"type": "strin"}}}}
    refused = await ask(programs, tools=[TIME, tool], tool_choice={"type": "any"})
    assert fault(refused, 400)["message"].startswith("tools[1].input_schema ")


async def test_a_model_that_knows_no_tools_says_so() -> None:
    refused = await ask(Programs(ScriptedEngine()), tools=[TIME])
    assert fault(refused, 400)["message"] == "This model's chat template knows no tools."
