"""Tools by the API: offered, called, answered, and held to where a call has to be made."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from chat.core.sampling import Sampling
from chat.core.schema.fitting import LONGEST_SCHEMA
from chat.errors import BadRequest
from chat.web.api.tools import MOST_TOOLS
from tests.support import tools
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error, events
from tests.support.tools import Speaker, speaking

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": tools.PLACE,
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
ROME = '{"city": "Rome"}'
CALL = {
    "hermes": '<tool_call>\n{"name": "%s", "arguments": %s}\n</tool_call>',
    "llama3": '{"name": "%s", "parameters": %s}',
    "mistral": '[TOOL_CALLS] [{"name": "%s", "arguments": %s}]',
    "mistral_small": "[TOOL_CALLS]%s[ARGS]%s",
}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def programs(family: str, script: Callable[[str], str]) -> tuple[Programs, Speaker]:
    chat = speaking(tools.FAMILIES[family](), script)
    assert isinstance(chat.engine, Speaker)
    return Programs(chat.engine, chat=chat), chat.engine


async def message(programs: Programs, **fields: Any) -> tuple[dict[str, Any], str]:
    """Return the message of a reply, the same streamed or not, and why it ended."""
    whole = (await programs.chats(**fields)).json()
    [choice] = whole["choices"]
    *chunks, done = events(await programs.chats(stream=True, **fields))
    assert done == "[DONE]"
    content, calls, reasons = "", list[dict[str, Any]](), []
    for chunk in chunks:
        [part] = chunk["choices"]
        content += part["delta"].get("content") or ""
        reasons.append(part["finish_reason"])
        for call in part["delta"].get("tool_calls", ()):
            if call["index"] == len(calls):
                assert call["function"]["arguments"] == ""
                calls.append(call)
            else:
                assert set(call) == {"index", "function"}
                calls[-1]["function"]["arguments"] += call["function"]["arguments"]
    said = choice["message"]
    assert content == (said["content"] or "")
    assert [call["function"] for call in calls] == [
        call["function"] for call in said.get("tool_calls", ())
    ]
    assert reasons[-1] == choice["finish_reason"]
    assert set(reasons[:-1]) <= {None}
    return said, choice["finish_reason"]


@pytest.mark.parametrize("family", CALL)
async def test_a_call_is_made_answered_and_told_of(family: str) -> None:
    def script(prompt: str) -> str:
        return "It is sunny in Rome." if "22 degrees" in prompt else CALL[family] % (name, ROME)

    name = "get_weather"
    asked, engine = programs(family, script)
    said, reason = await message(asked, tools=[WEATHER, TIME])
    assert reason == "tool_calls"
    assert said["content"] is None
    [call] = said["tool_calls"]
    assert call["type"] == "function"
    assert call["function"] == {"name": "get_weather", "arguments": ROME}
    assert call["id"].startswith("call_")
    assert "get_time" in engine.prompts[0]
    result = {"role": "tool", "tool_call_id": call["id"], "content": "22 degrees"}
    said, reason = await message(asked, tools=[WEATHER, TIME], messages=[*HI, said, result])
    assert (said["content"], reason) == ("It is sunny in Rome.", "stop")
    assert "tool_calls" not in said
    assert ROME in engine.prompts[-1]


async def test_several_calls_come_with_an_id_for_each() -> None:
    both = f"Let me look.\n{CALL['hermes'] % ('get_weather', ROME)}\n"
    both += CALL["hermes"] % ("get_time", "{}")
    asked, _ = programs("hermes", lambda prompt: both)
    said, reason = await message(asked, tools=[WEATHER, TIME])
    assert (said["content"], reason) == ("Let me look.", "tool_calls")
    names = [call["function"]["name"] for call in said["tool_calls"]]
    assert names == ["get_weather", "get_time"]
    assert len({call["id"] for call in said["tool_calls"]}) == 2
    said, reason = await message(asked, tools=[WEATHER, TIME], parallel_tool_calls=False)
    assert len(said["tool_calls"]) == 1
    assert reason == "tool_calls"


async def test_tools_that_are_not_called_change_nothing_of_the_reply() -> None:
    asked, _ = programs("hermes", lambda prompt: "Hello there.")
    assert await message(asked, tools=[WEATHER]) == (
        {"role": "assistant", "content": "Hello there.", "refusal": None},
        "stop",
    )


async def test_a_call_that_the_limit_cuts_ends_for_its_length() -> None:
    asked, _ = programs("hermes", lambda prompt: CALL["hermes"] % ("get_weather", ROME))
    whole = (await asked.chats(tools=[WEATHER], max_tokens=28)).json()
    [choice] = whole["choices"]
    assert choice["finish_reason"] == "length"
    [call] = choice["message"]["tool_calls"]
    assert ROME.startswith(call["function"]["arguments"])


@pytest.mark.parametrize("choice", ["none", {"type": "none"}])
async def test_with_none_nothing_is_offered_and_nothing_called(choice: Any) -> None:
    reply = CALL["hermes"] % ("get_weather", ROME)
    asked, engine = programs("hermes", lambda prompt: reply)
    said, reason = await message(asked, tools=[WEATHER], tool_choice=choice)
    assert (said["content"], reason) == (reply, "stop")
    assert "get_weather" not in engine.prompts[0]


@pytest.mark.parametrize("family", ["hermes", "llama3", "mistral"])
@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_weather", "get_time"]),
        ("any", ["get_weather", "get_time"]),
        (NAMED, ["get_weather"]),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "get_time"}}],
                },
            },
            ["get_time"],
        ),
    ],
)
async def test_a_call_that_has_to_be_made_is_held_to_its_schema(
    family: str, choice: Any, names: list[str]
) -> None:
    begun, _, call = (CALL[family] % (names[0], ROME)).partition("{")
    asked, engine = programs(family, lambda prompt: "{" + call)
    said, reason = await message(asked, tools=[WEATHER, TIME], tool_choice=choice)
    assert reason == "tool_calls"
    assert [one["function"]["name"] for one in said["tool_calls"]] == names[:1]
    assert engine.prompts[0].replace("  ", " ").endswith(begun)
    schema = json.loads(engine.samplings[0].json_schema)
    held = [one["properties"]["name"]["const"] for one in schema.get("anyOf", [schema])]
    assert held == names


async def test_where_the_name_comes_first_it_is_chosen_and_then_the_rest() -> None:
    def script(prompt: str) -> str:
        return ROME if prompt.endswith("get_weather[ARGS]") else "get_weather"

    asked, engine = programs("mistral_small", script)
    said, _ = await message(asked, tools=[WEATHER, TIME], tool_choice="required")
    assert said["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": ROME}
    assert engine.samplings[0].choices == ("get_weather", "get_time")
    assert json.loads(engine.samplings[1].json_schema) == tools.PLACE


async def test_it_is_chosen_from_as_many_as_may_be_offered() -> None:
    def script(prompt: str) -> str:
        return "{}" if prompt.endswith("a255[ARGS]") else "a255"

    asked, engine = programs("mistral_small", script)
    engine.window = 200_000
    many = [{"type": "function", "function": {"name": f"a{n}"}} for n in range(MOST_TOOLS)]
    said, _ = await message(asked, tools=many, tool_choice="required")
    assert said["tool_calls"][0]["function"] == {"name": "a255", "arguments": "{}"}
    assert len(engine.samplings[0].choices) == MOST_TOOLS


async def test_a_name_that_the_limit_cuts_is_the_beginning_of_one() -> None:
    def script(prompt: str) -> str:
        return ROME if prompt.endswith("get_time[ARGS]") else "get_time"

    asked, engine = programs("mistral_small", script)
    fields = {"tools": [WEATHER, TIME], "tool_choice": "required", "max_tokens": 7}
    said, reason = await message(asked, **fields)
    assert (said["content"] or "", reason) == ("", "length")
    assert engine.prompts[1].endswith("get_time[ARGS]")


@pytest.mark.parametrize("family", ["hermes", "llama3", "mistral", "mistral_small"])
async def test_nothing_ends_a_call_that_has_to_be_made_before_it_is_whole(family: str) -> None:
    written = "{" + (CALL[family] % ("get_weather", ROME)).partition("{")[2]
    asked, engine = programs(family, lambda prompt: written)
    fields = {"tools": [WEATHER], "tool_choice": "required", "min_tokens": 90}
    said, reason = await message(asked, stop=["}", "get_", '"'], **fields)
    assert reason == "tool_calls"
    assert said["tool_calls"][0]["function"] == {"name": "get_weather", "arguments": ROME}
    assert engine.samplings[0].min_new_tokens == 0


async def test_a_call_that_is_cut_before_its_name_is_no_text() -> None:
    asked, _ = programs("hermes", lambda prompt: '{"name": "get_weather", "arguments": {}}')
    said, reason = await message(asked, tools=[WEATHER], tool_choice="required", max_tokens=3)
    assert (said["content"], reason) == ("", "length")


async def test_a_model_that_knows_no_tools_says_so_and_costs_nothing() -> None:
    engine = ScriptedEngine()
    answer = await Programs(engine).chats(tools=[WEATHER])
    assert error(answer, 400) | {"type": ""} == {
        "message": "This model's chat template knows no tools.",
        "type": "",
        "param": "tools",
        "code": None,
    }
    assert engine.prompts == []


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"tools": [WEATHER, WEATHER]}, "tools", "tools has two functions called get_weather."),
        (
            {"tools": [TIME], "tool_choice": NAMED},
            "tool_choice",
            "tool_choice names get_weather, which is not in tools.",
        ),
        (
            {"tool_choice": "required"},
            "tool_choice",
            "tool_choice asks for a call, and there are no tools.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "tools[0].function.name must be 1 to 128 letters, digits and _ . -.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a\n"}}]},
            "tools[0].function.name",
            "tools[0].function.name must be 1 to 128 letters, digits and _ . -.",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "a", "parameters": [1]}}]},
            "tools[0].function.parameters",
            "tools[0].function.parameters must be a JSON schema.",
        ),
        (
            {"tools": [{"type": "web_search"}]},
            "tools[0].type",
            "tools[0].type must be 'function'.",
        ),
        (
            {
                "tools": [
                    TIME,
                    {
                        "type": "function",
                        "function": {"name": "a", "parameters": {"properties": {"b": {"not": {}}}}},
                    },
                ],
                "tool_choice": "required",
            },
            "tools[1].function.parameters",
            "tools[1].function.parameters asks for what is not offered, at properties.b.not.",
        ),
        (
            {"tools": [WEATHER], "response_format": {"type": "json_object"}},
            "response_format",
            "JSON schema holds the whole reply, so that no tool could be called; send one of the "
            "two, or tool_choice none or required.",
        ),
        (
            {"messages": [*HI, {"role": "assistant", "tool_calls": [{"function": {"name": "a"}}]}]},
            "messages",
            "The last message calls tools; send what they returned too.",
        ),
    ],
)
async def test_what_cannot_be_called_is_refused_by_its_name(
    fields: dict[str, Any], param: str, sentence: str
) -> None:
    asked, engine = programs("hermes", lambda prompt: "x")
    told = error(await asked.chats(**fields), 400)
    assert (told["message"], told["param"]) == (sentence, param)
    assert engine.prompts == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_that_an_engine_cannot_hold_a_call_to_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    asked, engine = programs("hermes", lambda prompt: "x")

    async def admit(sampling: Sampling) -> None:
        for field in sampling.needs():
            raise BadRequest("That takes too long.", field)

    monkeypatch.setattr(engine, "admit", admit)
    held = await asked.chats(tools=[WEATHER], tool_choice="required", stream=stream)
    assert error(held, 400)["param"] == "tools"
    other = await asked.chats(guided_regex="a", stream=stream)
    assert error(other, 400)["param"] == "guided_regex"


async def test_tools_longer_than_any_prompt_are_refused_before_they_cost() -> None:
    asked, _ = programs("hermes", lambda prompt: "x")
    long = {"type": "function", "function": {"name": "a", "description": "word " * 8_000}}
    told = error(await asked.chats(tools=[long]), 400)
    assert told["param"] == "tools"
    assert told["message"].startswith("The prompt is too long: your tools have 40,0")


@pytest.mark.parametrize("template", ["hermes", None])
async def test_there_are_only_so_many_tools_which_are_not_even_looked_at(
    template: str | None,
) -> None:
    """A body of a megabyte has room for tens of thousands, and for pairs of them for ever."""
    engine = ScriptedEngine()
    asked = programs(template, lambda prompt: "x")[0] if template else Programs(engine)
    many = [
        {"type": "function", "function": {"name": f"a{number}"}} for number in range(MOST_TOOLS + 1)
    ]
    told = error(await asked.chats(tools=many), 400)
    assert (told["param"], told["message"]) == ("tools", "tools has 257; the limit is 256.")
    if template:
        told = error(await asked.chats(tools=many[1:]), 400)
        assert told["message"].startswith("The prompt is too long: ")


async def test_a_schema_nested_without_end_is_refused() -> None:
    asked, engine = programs("hermes", lambda prompt: "x")
    for levels, choice in ((600, "auto"), (400, "required")):
        schema: dict[str, Any] = {}
        for _ in range(levels):
            schema = {"a": schema}
        tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
        told = error(await asked.chats(tools=[tool], tool_choice=choice), 400)
        assert (told["param"], told["message"]) == ("tools", "tools must not be nested so deeply.")
    assert engine.prompts == []


async def test_a_long_schema_is_refused_before_it_is_read() -> None:
    asked, engine = programs("hermes", lambda prompt: "x")
    schema = {"properties": {"a": {"const": "x" * LONGEST_SCHEMA}}}
    tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
    told = error(await asked.chats(tools=[tool], tool_choice="required"), 400)
    where = "tools[0].function.parameters"
    sentence = f"{where} must have at most 100,000 characters."
    assert (told["param"], told["message"]) == (where, sentence)
    assert engine.prompts == []


async def test_an_old_exchange_is_told_of_without_tools_too() -> None:
    asked, engine = programs("hermes", lambda prompt: "Fine.")
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": ROME}}
    said = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
    ]
    await message(asked, messages=said)
    assert "<tool_response>\nsunny\n</tool_response>" in engine.prompts[0]
    assert "<tools>" not in engine.prompts[0]


async def test_an_exchange_is_left_out_as_a_whole_where_it_does_not_fit() -> None:
    asked, engine = programs("hermes", lambda prompt: "Fine.")
    call = {"id": "1", "type": "function", "function": {"name": "get_weather", "arguments": ROME}}
    turn = [
        {"role": "user", "content": "weather " * 300},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "sunny"},
        {"role": "assistant", "content": "It is sunny."},
    ]
    answer = await asked.chats(messages=[*turn * 4, *HI], tools=[WEATHER], max_tokens=100)
    assert answer.status_code == 200
    prompt = engine.prompts[0]
    kept = prompt.count("It is sunny.")
    assert 0 < kept < 4
    assert prompt.count("weather weather weather") > 0
    assert prompt.count("<tool_response>\nsunny") == prompt.count(ROME) == kept


async def test_what_a_program_would_read_with_tools_can_be_counted() -> None:
    asked, _ = programs("hermes", lambda prompt: "x")
    counted = (await asked.post("/tokenize", {"messages": HI, "tools": [WEATHER]})).json()
    whole = (await asked.chats(tools=[WEATHER])).json()
    assert counted["count"] == whole["usage"]["prompt_tokens"]
