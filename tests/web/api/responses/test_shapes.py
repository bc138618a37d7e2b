"""chat.web.api.responses.shapes: what is asked, and what of it is refused by its name."""

import json
from typing import Any

import pytest

from chat.core.sampling import Sampling
from tests.support.fakes import ScriptedEngine
from tests.support.programs import END, Programs, error
from tests.support.responses import asks, responds

#: As clients send them: OpenAI's own, its agents, LangChain, LiteLLM, Vercel's.
SENT: dict[str, Any] = {
    "background": False,
    "context_management": [],
    "include": ["reasoning.encrypted_content"],
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "model": "gpt-5",
    "parallel_tool_calls": True,
    "prompt_cache_key": "a",
    "prompt_cache_retention": "24h",
    "reasoning": {"effort": "low", "summary": "auto"},
    "safety_identifier": "a",
    "service_tier": "auto",
    "store": False,
    "stream_options": {"include_obfuscation": False},
    "text": {"format": {"type": "text"}, "verbosity": "low"},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "truncation": "auto",
    "user": "ann",
}


@pytest.mark.parametrize("name", SENT)
async def test_what_does_no_harm_is_accepted_without_a_word(name: str) -> None:
    for value in (SENT[name], None):
        programs = Programs(ScriptedEngine(), strict_api=True)
        answer = await asks(programs, **{name: value})
        assert answer.status_code == 200, answer.text
        assert "x-ignored-fields" not in answer.headers
        assert programs.engine.samplings == [Sampling()]


async def test_controls_are_those_of_the_chat() -> None:
    programs = Programs(ScriptedEngine())
    controls = {"max_output_tokens": 5, "temperature": 0, "top_p": 0.5, "seed": 3, "stop": "!"}
    await responds(programs, **controls, top_k=7)
    [sampling] = programs.engine.samplings
    found = sampling.max_new_tokens, sampling.temperature, sampling.top_p, sampling.seed
    assert found == (5, 0, 0.5, 3)
    assert (sampling.stop, sampling.top_k) == (("!",), 7)


async def test_input_is_text_or_messages_as_clients_write_them() -> None:
    programs = Programs(ScriptedEngine())
    items = [
        {"type": "message", "role": "developer", "content": "Rhyme."},
        {"role": "user", "content": [{"type": "input_text", "text": "a"}], "status": "completed"},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "phase": "final_answer",
            "content": [
                {"type": "output_text", "text": "b", "annotations": [], "parsed": {}},
                {"type": "refusal", "refusal": "c"},
            ],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"},
        {"role": "user", "content": "d"},
    ]
    answer = await asks(programs, input=items)
    assert "x-ignored-fields" not in answer.headers
    prompt = programs.engine.prompts[0].replace(END, "|")
    assert prompt == "system: Rhyme.|user: a|assistant: bc|user: d|assistant: "


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    ("format", "held"),
    [
        ({"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}, SCHEMA),
        ({"type": "json_object"}, {"type": "object", "additionalProperties": True}),
    ],
)
async def test_a_format_holds_the_reply_and_is_repeated(format: Any, held: Any) -> None:
    engine = ScriptedEngine(lambda prompt: '{"a": 1}')
    engine.supports = frozenset({"json_schema"})
    response = await responds(Programs(engine), text={"format": format})
    assert json.loads(engine.samplings[0].json_schema) == held
    assert response["text"] == {"format": format}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 5}, "input"),
        ({"input": " "}, "input"),
        ({"input": ["a"]}, "input[0]"),
        ({"input": [{"type": 5}]}, "input[0]"),
        ({"input": [{"type": "item_reference"}]}, "input[0].id"),
        ({"input": [{"type": "computer_call_output"}]}, "input[0]"),
        ({"input": [{"content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content",
        ),
        ({"input": [{"type": "function_call", "name": "a"}]}, "input[0].call_id"),
        (
            {"input": [{"type": "function_call_output", "call_id": "1", "output": {"a": 1}}]},
            "input[0].output",
        ),
        (
            {"input": [{"role": "user", "content": "a"}, {"type": "function_call_output"}]},
            "input[1].call_id",
        ),
        ({"input": "x" * 20_000}, "input"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"messages": [{"role": "user", "content": "a"}]}, "messages"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"instructions": ["a"]}, "instructions"),
        ({"previous_response_id": 5}, "previous_response_id"),
        ({"store": "no"}, "store"),
        ({"metadata": "a"}, "metadata"),
        ({"truncation": "middle"}, "truncation"),
        ({"include": ["message.output_text.logprobs"]}, "include[0]"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_output_tokens": 5, "max_tokens": 6}, "max_tokens"),
        ({"max_output_tokens": "5"}, "max_output_tokens"),
        ({"temperature": 9}, "temperature"),
        ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {"type": "colour"}}}},
            "text.format",
        ),
    ],
)
async def test_what_cannot_be_had_is_refused_by_its_name(fields: Any, param: str) -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"json_schema"})
    for stream in (False, True):
        refused = error(
            await asks(Programs(engine), **{"input": "hi", **fields, "stream": stream}), 400
        )
        assert refused["param"] == param
        assert refused["message"].endswith(".")
    assert engine.prompts == []


async def test_what_is_not_known_is_ignored_and_named() -> None:
    items = [{"role": "user", "content": "a", "colour": 1}]
    answer = await asks(
        Programs(ScriptedEngine()), input=items, shape=1, text={"size": 1, "format": {"x": 1}}
    )
    assert answer.status_code == 200
    named = set(answer.headers["x-ignored-fields"].split(", "))
    assert named == {"shape", "input[0].colour", "text.size", "text.format.x"}
    strict = Programs(ScriptedEngine(), strict_api=True)
    assert error(await asks(strict, shape=1), 400)["param"] == "shape"
