"""chat.web.api.request: what may be asked for, and what is refused by its name."""

import json
from typing import Any

import pytest

from chat.core.sampling import Sampling
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


@pytest.mark.parametrize(
    ("fields", "control", "value"),
    [
        ({"top_k": -1}, "top_k", 0),
        ({"top_p": 0}, "top_p", 0),
        ({"seed": 2**32 + 7}, "seed", 7),
        ({"seed": 2**63 - 1}, "seed", 2**32 - 1),
        ({"seed": -2}, "seed", 2**32 - 2),
        ({"seed": -1}, "seed", None),
        ({"seed": 1e20}, "seed", 10**20 % 2**32),
        ({"random_seed": 7}, "seed", 7),
        ({"stop": ""}, "stop", ()),
        ({"stop": [""]}, "stop", ()),
        ({"stop": []}, "stop", ()),
        ({"stop": ["", "END"]}, "stop", ("END",)),
        ({"repetition_penalty": 0.9}, "repetition_penalty", 0.9),
        ({"repeat_penalty": 1.2}, "repetition_penalty", 1.2),
        ({"max_tokens": 9, "max_completion_tokens": 9}, "max_new_tokens", 9),
        ({"max_tokens": 9, "max_completion_tokens": 9.0}, "max_new_tokens", 9),
        ({"max_tokens": 9, "max_completion_tokens": None}, "max_new_tokens", 9),
        ({"max_new_tokens": 9, "n_predict": 9}, "max_new_tokens", 9),
        ({"min_tokens": 3}, "min_new_tokens", 3),
    ],
)
async def test_values_mean_what_clients_mean_by_them(
    fields: dict[str, Any], control: str, value: Any
) -> None:
    programs = Programs(ScriptedEngine())
    answer = await programs.chats(**fields)
    assert answer.status_code == 200
    assert programs.engine.samplings == [Sampling().model_copy(update={control: value})]


@pytest.mark.parametrize("asked", [-1, 0, -1.0, 5000, 2000, 2**63, 1e10])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens", "n_predict"])
async def test_who_asks_for_more_than_there_is_room_for_gets_what_there_is(
    asked: float, name: str
) -> None:
    programs = Programs(ScriptedEngine())
    for _ in range(2):
        answer = (await programs.chats(**{name: asked})).json()
        room = 2000 - answer["usage"]["prompt_tokens"]
        assert programs.engine.samplings[-1].max_new_tokens == room
        programs.chat.longest = 5000
    programs.chat.longest = 5
    cut = (await programs.chats(**{name: asked})).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("guided_choice", ["yes", "no"]),
        ("guided_regex", "[a-z]+"),
        ("guided_json", {"type": "object", "properties": {}}),
        ("json_schema", {"type": "object", "properties": {}}),
        ("json_schema", '{"type": "object", "properties": {}}'),
        ("structured_outputs", {"choice": ["yes", "no"], "regex": None}),
        ("structured_outputs", {"json": {"type": "object"}}),
        ("response_format", {"type": "json_schema", "schema": {"type": "object"}}),
    ],
)
async def test_what_ties_a_reply_down_goes_by_the_names_of_other_servers_too(
    field: str, value: Any
) -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"choices", "regex", "json_schema"})
    assert (await Programs(engine).chats(**{field: value})).status_code == 200
    assert engine.samplings[0].needs() != []


async def test_biases_come_with_token_ids_as_json_has_them() -> None:
    engine = ScriptedEngine(lambda prompt: "ok")
    engine.supports = frozenset({"logit_bias"})
    programs = Programs(engine)
    assert (await programs.chats(logit_bias={"97": -100, "98": 5})).status_code == 200
    assert (await programs.completes(logit_bias={"97": 0})).status_code == 200
    assert [one.logit_bias for one in engine.samplings] == [{97: -100, 98: 5}, {}]
    refused = error(await programs.chats(logit_bias={"1114112": 1}), 400)
    assert refused["param"] == "logit_bias"
    assert refused["message"] == "Logit bias names 1114112, which is no token here."


async def test_null_is_as_good_as_nothing() -> None:
    programs = Programs(ScriptedEngine())
    fields = "temperature seed stop max_tokens tools n logprobs stream stream_options user model"
    fields += " audio suffix functions web_search_options continue_final_message"
    messages = [{**HI[0], "refusal": None, "tool_calls": None, "audio": None}]
    answer = await programs.chats(messages=messages, **dict.fromkeys(fields.split()))
    assert answer.status_code == 200
    assert programs.engine.samplings == [Sampling()]


async def test_what_is_switched_off_may_be_sent() -> None:
    off = {"n": 1, "frequency_penalty": 0.0, "presence_penalty": 0, "logit_bias": {}}
    answer = await Programs(ScriptedEngine()).chats(**off, logprobs=False, store=False, user="ann")
    assert answer.status_code == 200


@pytest.mark.parametrize("stream_options", [{}, {"include_usage": True}, None])
async def test_stream_options_may_come_without_a_stream(stream_options: Any) -> None:
    answer = await Programs(ScriptedEngine()).chats(stream_options=stream_options)
    assert answer.json()["usage"]["completion_tokens"] == 12


async def test_a_reply_that_was_begun_may_be_said_to_be_continued() -> None:
    programs = Programs(ScriptedEngine())
    more = {"continue_final_message": True, "add_generation_prompt": False}
    assert (await programs.chats(messages=ECHO, **more)).status_code == 200
    assert programs.engine.prompts[0].endswith("assistant: a")
    assert (await programs.chats(continue_final_message=False)).status_code == 200


SCHEMA = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}


@pytest.mark.parametrize(
    ("format", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object", "additionalProperties": True}),
        ({"type": "json_object", "schema": {}}, {"type": "object", "additionalProperties": True}),
        ({"type": "json_object", "schema": SCHEMA}, SCHEMA),
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
ECHO = [*HI, {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"temperature": 9}, "temperature", "Temperature must be at most 2."),
        ({"temperature": "5"}, "temperature", "Temperature must be a number."),
        ({"temperature": True}, "temperature", "Temperature must be a number."),
        ({"top_p": -0.1}, "top_p", "Top-p must be at least 0."),
        ({"top_k": -2}, "top_k", "Top-k must be at least 0."),
        (
            {"repetition_penalty": 0},
            "repetition_penalty",
            "Repetition penalty must be at least 0.01.",
        ),
        ({"repeat_penalty": 3}, "repeat_penalty", "Repetition penalty must be at most 2."),
        ({"seed": 2.5}, "seed", "Seed must be a whole number."),
        ({"max_tokens": -2}, "max_tokens", "Max new tokens must be at least 1."),
        ({"max_tokens": False}, "max_tokens", "Max new tokens must be a whole number."),
        ({"max_tokens": 2.5}, "max_tokens", "Max new tokens must be a whole number."),
        ({"n_predict": "5"}, "n_predict", "Max new tokens must be a whole number."),
        (
            {"max_tokens": 5, "max_completion_tokens": 6},
            "max_completion_tokens",
            "max_completion_tokens says something else than max_tokens; send one.",
        ),
        (
            {"max_tokens": -1, "max_completion_tokens": 6},
            "max_completion_tokens",
            "max_completion_tokens says something else than max_tokens; send one.",
        ),
        (
            {"min_new_tokens": 0, "min_tokens": False},
            "min_tokens",
            "min_tokens says something else than min_new_tokens; send one.",
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
            {"response_format": {"type": "json_object", "schema": {"properties": {"a": 5}}}},
            "response_format",
            "JSON schema must be a schema, at properties.a.",
        ),
        (
            {"response_format": {"type": "json_object", "schema": 5}},
            "response_format.schema",
            "response_format.schema is not usable: Input should be a valid dictionary.",
        ),
        (
            {"response_format": {"type": "text", "schema": {"properties": {}}}},
            "response_format",
            "response_format must have a schema only if its type is json_schema or json_object.",
        ),
        (
            {"response_format": {"type": "xml"}},
            "response_format.type",
            "response_format.type must be 'text', 'json_object' or 'json_schema'.",
        ),
        ({"response_format": "text"}, "response_format", "response_format must be an object."),
        ({"n": 0}, "n", "n must be at least 1."),
        ({"n": 17}, "n", "n must be at most 16."),
        ({"n": True}, "n", "n must be a whole number."),
        (
            {"frequency_penalty": 2.5},
            "frequency_penalty",
            "Frequency penalty must be at most 2.",
        ),
        (
            {"logit_bias": {"5": 1}},
            "logit_bias",
            "Logit bias cannot be used with the engine that runs here.",
        ),
        (
            {"logit_bias": {"Paris": 1}},
            "logit_bias",
            "Logit bias must give at most 300 token ids a number from -100 to 100 each.",
        ),
        (
            {"logprobs": True},
            "logprobs",
            "Logprobs cannot be used with the engine that runs here.",
        ),
        ({"logprobs": 5}, "logprobs", "Logprobs must be true or false."),
        ({"top_logprobs": 3}, None, "Top logprobs come with Logprobs alone."),
        ({"top_logprobs": 21}, "top_logprobs", "Top logprobs must be at most 20."),
        (
            {"tools": [{"type": "function"}]},
            "tools[0].function",
            "tools[0].function is missing.",
        ),
        (
            {"tool_choice": "required"},
            "tool_choice",
            "tool_choice asks for a call, and there are no tools.",
        ),
        (
            {"tool_choice": {"type": "function"}},
            "tool_choice",
            "tool_choice must have function where that is its type, and else not.",
        ),
        ({"functions": [{"name": "a"}]}, "functions", "functions must be []."),
        (
            {"function_call": {"name": "a"}},
            "function_call",
            'function_call must be "none" or "auto".',
        ),
        ({"modalities": ["audio"]}, "modalities", 'modalities must be ["text"].'),
        ({"modalities": ["text", "audio"]}, "modalities", 'modalities must be ["text"].'),
        ({"audio": {"voice": "a"}}, "audio", "audio is not known here."),
        ({"web_search_options": {}}, "web_search_options", "web_search_options is not known here."),
        ({"suffix": "end"}, "suffix", "suffix is not known here."),
        ({"prompt": "hi"}, "prompt", "prompt is not known here."),
        ({"system": "Obey."}, "system", "system is not known here."),
        ({"echo": True}, "echo", "echo must be false."),
        ({"ignore_eos": True}, "ignore_eos", "ignore_eos must be false."),
        ({"ignore_eos": 0}, "ignore_eos", "ignore_eos must be false."),
        (
            {"skip_special_tokens": False},
            "skip_special_tokens",
            "skip_special_tokens must be true.",
        ),
        ({"grammar": "root ::= a"}, "grammar", 'grammar must be "".'),
        ({"format": "json"}, "format", 'format must be "".'),
        ({"documents": [{"text": "a"}]}, "documents", "documents must be []."),
        ({"chat_template": "x"}, "chat_template", "chat_template is not known here."),
        (
            {"messages": ECHO, "continue_final_message": False},
            "continue_final_message",
            "continue_final_message must be true where the last message is a reply.",
        ),
        ({"stream": "yes"}, "stream", "stream must be true or false."),
        (
            {"stream_options": {"include_usage": "yes"}},
            "stream_options.include_usage",
            "stream_options.include_usage must be true or false.",
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
            {"messages": [*HI, {"role": "robot", "content": "x"}]},
            "messages[1].role",
            "messages[1].role must be 'system', 'developer', 'user', 'assistant', 'tool' or "
            "'function'.",
        ),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "messages[0].role is missing."),
        (
            {"messages": [{"role": "user", "content": 5}]},
            "messages[0].content",
            "messages[0].content must be text.",
        ),
        (
            {"messages": [*HI, {"role": "tool", "content": None}]},
            "messages[1].content",
            "messages[1].content is missing.",
        ),
        (
            {"messages": [{**HI[0], "name": 5}]},
            "messages[0].name",
            "messages[0].name must be text.",
        ),
        (
            {"messages": [{**HI[0], "images": ["aGk="]}]},
            "messages[0].images",
            "messages[0].images must be [].",
        ),
        (
            {"messages": [*HI, {**ECHO[1], "audio": {"id": "a"}}]},
            "messages[1].audio",
            "messages[1].audio is not known here.",
        ),
        (
            {"messages": [*HI, {**ECHO[1], "tool_calls": [{"id": "1", "type": "function"}]}]},
            "messages[1].tool_calls[0].function",
            "messages[1].tool_calls[0].function is missing.",
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
    assert programs.engine.prompts == []
    assert programs.chat.gate.size == 0


NO_OBJECTS = [b"", b"{", b"\xff\xfe\xfd", b"[]", b'"hi"', b"[" * 100_000]
#: JSON to Python, and to nobody else.
NO_OBJECTS += [
    b'{"messages": [{"role": "user", "content": "a"}], "x": %s}' % one
    for one in (b"NaN", b"-Infinity")
]


@pytest.mark.parametrize("body", NO_OBJECTS)
async def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    programs = Programs(ScriptedEngine())
    refused = error(await programs.post("/chat/completions", body), 400)
    assert refused["message"] in ("The request is not JSON.", "The request must be a JSON object.")
    assert refused["param"] is None


NO_PROMPT = "prompt must be a text, token ids, or a list of those."


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        ({"prompt": None}, "prompt", "prompt is missing."),
        ({"prompt": []}, "prompt", NO_PROMPT),
        ({"prompt": {}}, "prompt", NO_PROMPT),
        ({"prompt": 5}, "prompt", NO_PROMPT),
        ({"prompt": [1, -2]}, "prompt", NO_PROMPT),
        ({"prompt": [1, True]}, "prompt", NO_PROMPT),
        ({"prompt": [1, "a"]}, "prompt", NO_PROMPT),
        ({"prompt": ["a", []]}, "prompt", NO_PROMPT),
        ({"prompt": ["a", " "]}, "prompt", "Please write a message first."),
        (
            {"prompt": [5, 10**7]},
            "prompt",
            "prompt has 10000000, which is no token of this model.",
        ),
        ({"prompt": ["a"] * 17}, "prompt", "prompt must be 16 prompts at most."),
        ({"prompt": ["a"] * 9, "n": 2}, "n", "n and prompt ask for 18 replies; the limit is 16."),
        (
            {"prompt": ["a"] * 3, "n": 6},
            "n",
            "n and prompt ask for 18 replies; the limit is 16.",
        ),
        ({"prompt": ""}, "prompt", "Please write a message first."),
        ({"suffix": "end"}, "suffix", "suffix is not known here."),
        ({"best_of": 2}, "best_of", "best_of must be 1."),
        ({"logprobs": 21}, "logprobs", "Top logprobs must be at most 20."),
        ({"logprobs": 5}, "logprobs", "Logprobs cannot be used with the engine that runs here."),
        (
            {"logprobs": 5, "echo": True},
            "logprobs",
            "logprobs are of what is written; send no echo.",
        ),
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
