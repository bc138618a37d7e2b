"""chat.web.api.anthropic.shapes and blocks: what is asked, and the conversation in it."""

import json
from typing import Any

import pytest

from chat.core.sampling import Sampling
from chat.web.api.anthropic.shapes import MessagesBody
from chat.web.api.request import read
from tests.support.fakes import ScriptedEngine
from tests.support.programs import END, HI, Programs
from tests.support.tools import PLACE
from tests.web.api.anthropic.support import ROME, WEATHER, ask, fault, knowing_tools

USE = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": ROME}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
CACHED = {"cache_control": {"type": "ephemeral"}}


def text(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


async def prompt(messages: list[tuple[str, Any]], **fields: Any) -> str:
    """Return the prompt that messages become, of which nothing is unknown."""
    programs = Programs(ScriptedEngine(), strict_api=True)
    sent = [{"role": role, "content": content} for role, content in messages]
    answer = await ask(programs, messages=sent, **fields)
    assert answer.status_code == 200, answer.text
    return programs.engine.prompts[-1].replace(END, "|")


@pytest.mark.parametrize(
    "content", ["a b", [text("a b")], [text("a ", **CACHED), text("b", citations=None)], ["a b"]]
)
async def test_a_content_is_a_text_or_blocks_of_it(content: Any) -> None:
    assert "user: a b|" in await prompt([("user", content)])
    assert "assistant: a b|" in await prompt([("assistant", content), ("user", "c")])
    assert (await prompt([("user", "c")], system=content)).startswith("system: a b|")


async def test_a_system_message_in_the_middle_stays_there() -> None:
    found = await prompt([("user", "a"), ("system", "b"), ("user", "c")])
    assert found == "user: a|system: b|user: c|assistant: "


@pytest.mark.parametrize("system", ["", [], [text("")]])
async def test_who_wants_no_system_prompt_gets_none(system: Any) -> None:
    assert await prompt([("user", "a")], system=system) == "user: a|assistant: "
    hosts = "system: You are a helpful assistant.|user: a|assistant: "
    assert await prompt([("user", "a")], system=None) == hosts
    assert await prompt([("user", "a")]) == hosts


async def test_what_was_thought_is_left_out() -> None:
    thoughts = [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    messages = [("user", "a"), ("assistant", [*thoughts, text("b")]), ("user", "c")]
    assert "user: a|assistant: b|user: c|" in await prompt(messages)
    assert (await prompt([("user", "a"), ("assistant", thoughts)])).endswith("user: a|assistant: ")


async def test_for_an_image_in_a_result_there_is_a_word() -> None:
    """Which no one chose to send, and which comes with each later request."""
    seen = {**RESULT, "content": [text("a"), {"type": "image", "source": {"type": "base64"}}]}
    said = await prompt([("user", "a"), ("assistant", [USE]), ("user", [seen])])
    assert "get_weather: a[image: not shown, since the model reads text alone]|" in said


async def test_results_come_before_what_is_said_with_them() -> None:
    """To a model that knows no tools, as texts."""
    other = {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("no", **CACHED)]}
    messages = [
        ("user", "a"),
        ("assistant", [text("b"), {**USE, "caller": {"type": "direct"}}, {**USE, "id": "toolu_2"}]),
        ("user", [RESULT, {**other, "is_error": True}, text("c"), text("d")]),
    ]
    called = 'get_weather({"city": "Rome"})'
    assert (await prompt(messages)).removeprefix("system: You are a helpful assistant.|") == (
        f"user: a|assistant: b\n\n{called}\n\n{called}|"
        "user: get_weather: sunny\n\nget_weather: no\n\ncd|assistant: "
    )


@pytest.mark.parametrize(
    ("result", "read"),
    [
        ({"content": "sunny"}, "sunny"),
        ({"content": [text("sun"), text("ny")]}, "sunny"),
        ({}, ""),
        ({"content": None, "is_error": False}, ""),
        ({"content": "No such city.", "is_error": True}, "No such city."),
        ({"is_error": True}, "Error"),
    ],
)
async def test_a_result_is_told_as_the_template_tells_it(result: Any, read: str) -> None:
    programs = knowing_tools(lambda prompt: "ok", strict_api=True)
    block = {"type": "tool_result", "tool_use_id": "toolu_1", **result}
    messages = [
        *HI,
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [block, text("And now?")]},
    ]
    assert (await ask(programs, messages=messages, tools=[WEATHER])).status_code == 200
    told = f"<tool_response>\n{read}\n</tool_response><|im_end|>\n<|im_start|>user\nAnd now?"
    assert told in programs.engine.prompts[0]


async def test_a_message_may_be_sent_back_as_clients_hold_it() -> None:
    programs = Programs(ScriptedEngine(), strict_api=True)
    reply = (await ask(programs)).json()
    reply["content"][0] |= {"citations": None, "parsed_output": None}
    answer = await ask(programs, messages=[*HI, {**reply, "container": None}, *HI])
    assert answer.status_code == 200, answer.text
    assert "user: hi\0assistant: You said: hi\0user: hi\0" in programs.engine.prompts[1]


#: As Anthropic's clients send them, the beta of theirs too.
SENT: dict[str, Any] = {
    "metadata": {"user_id": "ann"},
    "service_tier": "auto",
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "container": "container_1",
    "context_management": {"edits": []},
    "cache_control": {"type": "ephemeral"},
    "output_config": {"effort": "low"},
    "mcp_servers": [],
    "betas": ["interleaved-thinking-2025-05-14"],
    "anthropic_version": "bedrock-2023-05-31",
    "inference_geo": "us",
    "speed": "fast",
    "diagnostics": {"previous_message_id": None},
    "tools": [],
    "tool_choice": {"type": "none"},
}


@pytest.mark.parametrize("name", SENT)
async def test_what_does_no_harm_is_accepted_without_a_word(name: str) -> None:
    for value in (SENT[name], None):
        programs = Programs(ScriptedEngine(), strict_api=True)
        answer = await ask(programs, **{name: value})
        assert answer.status_code == 200, answer.text
        assert "x-ignored-fields" not in answer.headers
        assert programs.engine.samplings == [Sampling(max_new_tokens=200)]


async def test_headers_of_anthropics_change_nothing() -> None:
    headers = {"anthropic-version": "2023-06-01", "anthropic-beta": "a,b"}
    programs = Programs(ScriptedEngine(), strict_api=True)
    answer = await programs.client.post("/messages", json={"messages": HI}, headers=headers)
    assert answer.json()["content"] == [{"type": "text", "text": "You said: hi"}]


async def test_controls_go_by_anthropics_names_and_by_ours() -> None:
    programs = Programs(ScriptedEngine(), strict_api=True)
    own = {"temperature": 1.0, "top_p": 0.5, "top_k": 7, "stop_sequences": ["x", "y"], "seed": 3}
    assert (await ask(programs, **own)).status_code == 200
    assert programs.engine.samplings == [
        Sampling(temperature=1, top_p=0.5, top_k=7, stop=("x", "y"), seed=3, max_new_tokens=200)
    ]


async def test_what_nobody_knows_is_ignored_and_named() -> None:
    body = {"messages": [{"role": "user", "content": [text("a", colour=1)]}], "size": 2}
    answer = await ask(Programs(ScriptedEngine()), **body)
    assert answer.status_code == 200
    assert answer.headers["x-ignored-fields"] == "size, messages[0].content[0].colour"
    strict = Programs(ScriptedEngine(), strict_api=True)
    assert fault(await ask(strict, **body), 400)["message"] == "size is not known here."


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.mark.parametrize(
    "asked",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": None}},
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
    ],
)
def test_a_schema_of_the_reply_is_kept_to(asked: Any) -> None:
    found = read(MessagesBody, json.dumps({"messages": HI, **asked}).encode())
    assert found.unknown == []
    assert json.loads(found.controls.values["json_schema"]) == SCHEMA


ONE = [{"role": "user", "content": "a"}]


def said(*content: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(content)}]}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"messages": None}, "messages is missing."),
        ({"messages": "a"}, "messages must be a list."),
        ({"messages": []}, "Please write a message first."),
        ({"messages": [], "system": "a"}, "Please write a message first."),
        (said("a", role="assistant"), "Please write a message first."),
        ({"messages": ["a"]}, "messages[0] must be an object."),
        ({"messages": [{"role": "user"}]}, "messages[0].content is missing."),
        (
            {"messages": [{"role": "tool", "content": "a"}]},
            "messages[0].role must be 'user', 'assistant' or 'system'.",
        ),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content must be text, calls of tools or their results.",
        ),
        (
            said(text("a"), {"type": "image", "source": {}}),
            "messages[0].content must be text, calls of tools or their results, "
            "and block 2 is of the type image.",
        ),
        (
            said({"type": "document"}),
            "messages[0].content must be text, calls of tools or their results, "
            "and block 1 is of the type document.",
        ),
        (
            said(5),
            "messages[0].content must be text, calls of tools or their results, "
            "and block 1 is something else.",
        ),
        (said({"type": "text"}), "messages[0].content[0].text is missing."),
        (said({"type": "text", "text": 5}), "messages[0].content[0].text must be text."),
        (said(USE), "messages[0] must be the assistant's if it has a tool_use."),
        (said(RESULT, role="system"), "messages[0] must be the user's if it has a tool_result."),
        (
            said({**USE, "name": None}, role="assistant"),
            "messages[0].content[0].name is missing.",
        ),
        (
            said({**RESULT, "content": [{"type": "video"}]}),
            "messages[0].content[0].content must be text alone, and block 1 is of the type video.",
        ),
        (
            {"messages": ONE, "system": [{"type": "image"}]},
            "system must be text alone, and block 1 is of the type image.",
        ),
        ({"messages": ONE, "temperature": 3}, "Temperature must be at most 2."),
        ({"messages": ONE, "mcp_servers": [{"name": "a"}]}, "mcp_servers must be []."),
        (
            {"messages": ONE, "output_format": {"type": "text"}},
            "output_format.type must be 'json_schema'.",
        ),
        (
            {
                "messages": ONE,
                "output_format": {"type": "json_schema", "schema": SCHEMA},
                "output_config": {"format": {"type": "json_schema", "schema": PLACE}},
            },
            "output_format says something else than output_config.format; send one.",
        ),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(body: Any, sentence: str) -> None:
    programs = Programs(ScriptedEngine())
    assert fault(await programs.post("/messages", body), 400) == {
        "type": "invalid_request_error",
        "message": sentence,
    }
    assert programs.engine.prompts == []
