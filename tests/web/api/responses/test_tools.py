"""chat.web.api.responses.tools: offered flat, called as items, and answered by items."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import tools
from tests.support.fakes import ScriptedEngine
from tests.support.programs import Programs, error
from tests.support.responses import asks, responds, streams
from tests.support.tools import Speaker, speaking

WEATHER = {"type": "function", "name": "get_weather", "parameters": tools.PLACE, "strict": True}
TIME = {"type": "function", "name": "get_time", "parameters": None, "description": None}
ROME = '{"city": "Rome"}'
CALL = '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>'
BOTH = f"Let me look.\n{CALL % ('get_weather', ROME)}\n{CALL % ('get_time', '{}')}"
NAMED = {"type": "function", "name": "get_weather"}


def programs(script: Callable[[str], str]) -> tuple[Programs, Speaker]:
    chat = speaking(tools.hermes(), script)
    assert isinstance(chat.engine, Speaker)
    return Programs(chat.engine, chat=chat), chat.engine


def answering(prompt: str) -> str:
    return "It is sunny." if "22 degrees" in prompt else BOTH


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kept", [False, True])
async def test_calls_are_made_answered_and_told_of(stream: bool, kept: bool) -> None:
    asked, engine = programs(answering)
    offer = {"tools": [WEATHER, TIME]}
    if stream:
        first = (await streams(asked, **offer))[-1]["response"]
    else:
        first = await responds(asked, **offer)
    said, weather, time = first["output"]
    assert said["content"][0]["text"] == "Let me look."
    assert (weather["name"], weather["arguments"]) == ("get_weather", ROME)
    assert (time["name"], time["arguments"]) == ("get_time", "{}")
    assert weather["call_id"] != time["call_id"]
    assert {one["status"] for one in first["output"]} == {"completed"}
    assert "get_time" in engine.prompts[0]
    results: list[Any] = [
        {"type": "function_call_output", "call_id": weather["call_id"], "output": "22 degrees"},
        {
            "type": "function_call_output",
            "call_id": time["call_id"],
            "output": [{"type": "input_text", "text": "noon"}],
        },
    ]
    if kept:
        more = {"input": results, "previous_response_id": first["id"]}
    else:
        before = [{"role": "user", "content": "hi"}, {"type": "reasoning", "id": "r"}]
        more = {"input": [*before, *first["output"], *results], "store": False}
    second = await responds(asked, **offer, **more)
    assert second["output"][0]["content"][0]["text"] == "It is sunny."
    assert f"<|im_start|>assistant\n{BOTH}<|im_end|>" in engine.prompts[-1]
    assert "22 degrees" in engine.prompts[-1]
    assert "noon" in engine.prompts[-1]


async def test_what_was_called_is_told_without_tools_too() -> None:
    asked, engine = programs(answering)
    first = await responds(asked, tools=[WEATHER, TIME])
    calls = [{**one, "parsed_arguments": {}} for one in first["output"][1:]]
    results = [
        {"type": "function_call_output", "call_id": one["call_id"], "output": "22 degrees"}
        for one in calls
    ]
    for more in (
        {"input": results, "previous_response_id": first["id"]},
        {"input": [{"role": "user", "content": "hi"}, *first["output"][:1], *calls, *results]},
    ):
        answer = await asks(asked, **more)
        assert "x-ignored-fields" not in answer.headers
        assert f"<|im_start|>assistant\n{BOTH}<|im_end|>" in engine.prompts[-1]
        assert "<tools>" not in engine.prompts[-1]


async def test_arguments_come_as_they_are_written() -> None:
    asked, _ = programs(lambda prompt: CALL % ("get_weather", ROME))
    found = await streams(asked, tools=[WEATHER])
    parts = [
        one["delta"] for one in found if one["type"] == "response.function_call_arguments.delta"
    ]
    assert len(parts) > 1
    assert "".join(parts) == ROME
    [done] = [one for one in found if one["type"] == "response.function_call_arguments.done"]
    assert (done["name"], done["arguments"]) == ("get_weather", ROME)


async def test_a_call_that_is_cut_off_is_incomplete() -> None:
    asked, _ = programs(lambda prompt: CALL % ("get_weather", ROME))
    first = await responds(asked, tools=[WEATHER], max_output_tokens=28)
    assert first["status"] == first["output"][-1]["status"] == "incomplete"
    assert ROME.startswith(first["output"][-1]["arguments"])


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_weather", "get_time"]),
        (NAMED, ["get_weather"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [NAMED]}, ["get_weather"]),
    ],
)
async def test_a_call_that_has_to_be_made_is_held_to_its_schema(
    choice: Any, names: list[str]
) -> None:
    asked, engine = programs(lambda prompt: '{"name": "get_weather", "arguments": {"city": "A"}}')
    offer = {"tools": [WEATHER, TIME], "tool_choice": choice}
    response = await responds(asked, **offer, parallel_tool_calls=False)
    [call] = response["output"]
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city": "A"}')
    schema = json.loads(engine.samplings[0].json_schema)
    held = [one["properties"]["name"]["const"] for one in schema.get("anyOf", [schema])]
    assert held == names
    assert response["tool_choice"] == choice
    assert response["parallel_tool_calls"] is False
    assert [tool["name"] for tool in response["tools"]] == ["get_weather", "get_time"]
    assert response["tools"][0] == {**WEATHER, "description": ""}


async def test_tools_of_others_are_left_out_and_named() -> None:
    asked, engine = programs(lambda prompt: "Hello.")
    others = [{"type": "web_search", "external_web_access": False}, {"type": "custom", "name": "x"}]
    answer = await asked.post("/responses", {"input": "hi", "tools": [*others, WEATHER]})
    assert answer.headers["x-ignored-fields"] == "tools[0].web_search, tools[1].custom"
    assert [tool["name"] for tool in answer.json()["tools"]] == ["get_weather"]
    assert "get_weather" in engine.prompts[0]
    assert "web_search" not in engine.prompts[0]


async def test_for_an_image_in_a_result_there_is_a_word() -> None:
    asked, engine = programs(lambda prompt: "I see.")
    seen = {"type": "input_image", "image_url": "data:image/png;base64,"}
    await responds(
        asked,
        input=[
            {"role": "user", "content": "Look."},
            {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": ROME},
            {"type": "function_call_output", "call_id": "c", "output": [seen]},
        ],
        tools=[WEATHER],
    )
    assert "[image: not shown, since the model reads text alone]" in engine.prompts[-1]


@pytest.mark.parametrize("choice", ["none", {"type": "allowed_tools", "mode": "auto", "tools": []}])
async def test_what_may_not_be_called_is_not_offered(choice: Any) -> None:
    asked, engine = programs(lambda prompt: "Hello.")
    await responds(asked, tools=[WEATHER], tool_choice=choice)
    assert "get_weather" not in engine.prompts[0]


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        (
            {"tools": [{"type": "web_search"}], "tool_choice": "required"},
            "tool_choice",
            "tool_choice asks for a call, and there are no tools.",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].name", "tools[0].name is missing."),
        (
            {"tools": [TIME], "tool_choice": NAMED},
            "tool_choice",
            "tool_choice names get_weather, which is not in tools.",
        ),
        (
            {"tools": [WEATHER], "tool_choice": {"type": "mcp"}},
            "tool_choice",
            "tool_choice is of the type mcp, which is not offered.",
        ),
        (
            {
                "tools": [
                    {**TIME, "parameters": {"properties": {"b": {"not": {}}}}},
                ],
                "tool_choice": "required",
            },
            "tools[0].parameters",
            "tools[0].parameters asks for what is not offered, at properties.b.not.",
        ),
        (
            {"tools": [{**TIME, "defer_loading": True}]},
            "tools[0].defer_loading",
            "tools[0].defer_loading must be false.",
        ),
    ],
)
async def test_what_cannot_be_called_is_refused_by_its_name(
    fields: Any, param: str, sentence: str
) -> None:
    asked, engine = programs(lambda prompt: "")
    refused = error(await asks(asked, **fields), 400)
    assert (refused["param"], refused["message"]) == (param, sentence)
    assert engine.prompts == []


async def test_calls_can_be_told_to_a_model_that_knows_no_tools() -> None:
    asked = Programs(ScriptedEngine())
    items = [
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": "1", "name": "add", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "2"},
    ]
    await responds(asked, input=items)
    assert "assistant: add({})\0user: add: 2\0" in asked.engine.prompts[0]
    assert error(await asks(asked, tools=[WEATHER]), 400)["param"] == "tools"
