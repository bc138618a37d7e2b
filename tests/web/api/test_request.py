"""chat.web.api.request: what may be asked for, and what is refused by its name."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from chat.core.sampling import Sampling
from chat.web.api.shapes import ChatBody
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs, error


@pytest.mark.parametrize(
    ("field", "value", "control"),
    [
        ("temperature", 0.25, "temperature"),
        ("top_p", 0.5, "top_p"),
        ("seed", 7, "seed"),
        ("max_tokens", 9, "max_new_tokens"),
        ("max_completion_tokens", 9, "max_new_tokens"),
        ("top_k", 3, "top_k"),
        ("min_p", 0.125, "min_p"),
        ("repetition_penalty", 1.5, "repetition_penalty"),
        ("presence_penalty", -0.5, "presence_penalty"),
        ("frequency_penalty", 1.5, "frequency_penalty"),
        ("min_new_tokens", 2, "min_new_tokens"),
    ],
)
async def test_what_is_asked_for_reaches_the_engine_and_the_rest_is_the_hosts(
    field: str, value: Any, control: str
) -> None:
    programs = Programs(ScriptedEngine(), top_p=0.75, seed=5)
    await programs.chats(**{field: value})
    sampling = Sampling(top_p=0.75, seed=5).model_copy(update={control: value})
    assert programs.engine.samplings == [sampling]


async def test_null_is_as_good_as_nothing() -> None:
    programs = Programs(ScriptedEngine())
    fields = "temperature seed stop max_tokens tools n logprobs stream stream_options user model"
    messages = [{**HI[0], "refusal": None, "tool_calls": None}]
    answer = await programs.chats(messages=messages, **dict.fromkeys(fields.split()))
    assert answer.status_code == 200
    assert programs.engine.samplings == [Sampling()]


async def test_what_is_switched_off_may_be_sent() -> None:
    off = {"n": 1, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}}
    answer = await Programs(ScriptedEngine()).chats(**off, logprobs=False, store=False, user="ann")
    assert answer.status_code == 200


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("format", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object", "additionalProperties": True}),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}},
            SCHEMA,
        ),
    ],
)
async def test_the_response_format_reaches_an_engine_that_can_obey_it(
    format: dict[str, Any], schema: Any
) -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"json_schema"})
    await Programs(engine).chats(response_format=format)
    written = engine.samplings[0].json_schema
    assert (json.loads(written) if written else None) == schema


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
LATE = [*HI, {"role": "assistant", "content": "a"}, {"role": "system", "content": "b"}, *HI]


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"temperature": 9}, "temperature", "Temperature must be at most 2."),
        ({"temperature": "5"}, "temperature", "Temperature must be a number."),
        ({"temperature": True}, "temperature", "Temperature must be a number."),
        ({"top_p": 0}, "top_p", "Top-p must be at least 0.01."),
        ({"seed": 2.5}, "seed", "Seed must be a whole number."),
        ({"max_tokens": 0}, "max_tokens", "Max new tokens must be at least 1."),
        (
            {"max_completion_tokens": 5000},
            "max_completion_tokens",
            "Max new tokens must be at most 4096.",
        ),
        (
            {"max_tokens": 2000},
            "max_tokens",
            "Max new tokens must be less than the model's window of 2,000.",
        ),
        (
            {"max_tokens": 5, "max_completion_tokens": 5},
            "max_completion_tokens",
            "max_completion_tokens says the same as max_tokens; send one.",
        ),
        ({"stop": 5}, "stop", "Stop strings must be text."),
        ({"stop": [1]}, "stop", "Stop strings must be text."),
        ({"regex": "("}, "regex", "Regular expression is not a regular expression."),
        ({"choices": ["a\0"]}, "choices", "Choices has a control character in it."),
        (
            {"regex": "a+"},
            "regex",
            "Regular expression cannot be used with the engine that runs here.",
        ),
        (
            {"response_format": {"type": "json_object"}},
            "response_format",
            "JSON schema cannot be used with the engine that runs here.",
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"schema": {"properties": {"a": {"not": {}}}}},
                }
            },
            "response_format",
            "JSON schema asks for what is not offered, at properties.a.not.",
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format",
            "response_format must have a json_schema if that is its type.",
        ),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "response_format.type must be 'text', 'json_object' or 'json_schema'.",
        ),
        ({"response_format": "text"}, "response_format", "response_format must be an object."),
        ({"n": 2}, "n", "n must be 1."),
        ({"n": True}, "n", "n must be 1."),
        (
            {"frequency_penalty": 2.5},
            "frequency_penalty",
            "Frequency penalty must be at most 2.",
        ),
        ({"logit_bias": {"5": 1}}, "logit_bias", "logit_bias must be {}."),
        ({"logprobs": True}, "logprobs", "logprobs must be false."),
        ({"tools": []}, "tools", "tools is not known here."),
        ({"functions": []}, "functions", "functions is not known here."),
        ({"temprature": 1}, "temprature", "temprature is not known here."),
        ({"stream": "yes"}, "stream", "stream must be true or false."),
        (
            {"stream_options": {"include_usage": True}},
            "stream_options",
            "stream_options can only be set with stream.",
        ),
        ({"model": 5}, "model", "model must be text."),
        ({"messages": None}, "messages", "messages is missing."),
        ({"messages": "hi"}, "messages", "messages must be a list."),
        ({"messages": []}, "messages", "Please write a message first."),
        ({"messages": ["hi"]}, "messages[0]", "messages[0] must be an object."),
        (
            {"messages": [{"role": "user", "content": " "}]},
            "messages",
            "Please write a message first.",
        ),
        (
            {"messages": [*HI, {"role": "tool", "content": "x"}]},
            "messages[1].role",
            "messages[1].role must be 'system', 'developer', 'user' or 'assistant'.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE]}]},
            "messages[0].content",
            "messages[0].content must be text alone, and part 2 is of the type image_url.",
        ),
        (
            {"messages": [{"role": "assistant", "content": "Once"}]},
            "messages",
            "Please write a message first.",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "\ud800"}]}]},
            "messages[0].content",
            "messages[0].content must be text alone, and part 1 is of the type \ufffd.",
        ),
        (
            {"messages": [{"role": "user"}]},
            "messages[0].content",
            "messages[0].content is missing.",
        ),
        (
            {"messages": [{**HI[0], "tool_calls": []}]},
            "messages[0].tool_calls",
            "messages[0].tool_calls is not known here.",
        ),
        (
            {"messages": LATE},
            "messages[2].role",
            "messages[2].role must not be system, which comes first.",
        ),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name_and_never_generates(
    fields: dict[str, Any], param: str, sentence: str
) -> None:
    programs = Programs(ScriptedEngine())
    for more in ({}, {"stream": True}):
        refused = error(await programs.chats(**{**more, **fields}), 400)
        assert (refused["param"], refused["message"]) == (param, sentence)
        assert refused["type"] == "invalid_request_error"
        if "stream" in param:
            break
    assert programs.engine.prompts == []
    assert programs.chat.gate.size == 0


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe\xfd", b"[]", b'"hi"', b"[" * 100_000])
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    programs = Programs(ScriptedEngine())
    refused = error(await programs.post("/chat/completions", body), 400)
    assert refused["message"] in ("The request is not JSON.", "The request must be a JSON object.")
    assert refused["param"] is None


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"prompt": None}, "prompt", "prompt is missing."),
        ({"prompt": ["a", "b"]}, "prompt", "prompt must be one text."),
        ({"prompt": [1, 2]}, "prompt", "prompt must be one text."),
        ({"prompt": ""}, "prompt", "Please write a message first."),
        ({"suffix": "end"}, "suffix", "suffix is not known here."),
        ({"best_of": 2}, "best_of", "best_of must be 1."),
        ({"logprobs": 5}, "logprobs", "logprobs must be false."),
        ({"messages": HI}, "messages", "messages is not known here."),
    ],
)
async def test_what_a_completion_cannot_do_is_refused_by_name(
    fields: dict[str, Any], param: str, sentence: str
) -> None:
    programs = Programs(ScriptedEngine())
    refused = error(await programs.completes(**fields), 400)
    assert (refused["param"], refused["message"]) == (param, sentence)
    assert programs.engine.prompts == []


def test_of_many_faulty_messages_one_is_described() -> None:
    with pytest.raises(ValidationError) as refused:
        ChatBody.model_validate({"messages": [{"role": "user"}] * 1000})
    assert refused.value.error_count() == 1
