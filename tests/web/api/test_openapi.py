"""chat.web.api.openapi: the description is valid, and true to what is answered."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from chat.settings import Settings
from chat.web.api import routes as api
from chat.web.api.request import read
from chat.web.api.shapes import ChatBody
from tests.support.fakes import ScriptedEngine, chat_with
from tests.support.programs import HI, Programs, events
from tests.support.responses import streams
from tests.support.thinking import by_letters
from tests.web.api.anthropic import support as anthropic

#: All that a message of Anthropic's may consist of.
BLOCKS = [
    {"role": "user", "content": [{"type": "text", "text": "a"}, "b", {"text": "c"}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hm.", "signature": "x"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "tool_use", "id": "1", "name": "d", "input": {"e": 1}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": [{"text": "f"}]},
            {"type": "tool_result", "tool_use_id": "1", "is_error": True},
        ],
    },
]


DESCRIBED: dict[str, dict[str, Any]] = {}


async def description(**settings: Any) -> dict[str, Any]:
    """Return the document, which takes a while to make, and is the same for the same settings."""
    if str(settings) not in DESCRIBED:
        DESCRIBED[str(settings)] = await _described(settings)
    return deepcopy(DESCRIBED[str(settings)])


async def _described(settings: dict[str, Any]) -> dict[str, Any]:
    programs = Programs(ScriptedEngine(), **settings)
    headers = {"Authorization": f"Bearer {settings.get('api_key')}"}
    answer = await programs.client.get("/openapi.json", headers=headers)
    assert answer.headers["content-type"] == "application/json"
    return dict(answer.json())


def checker(document: dict[str, Any], schema: Any) -> Any:
    """Return what checks a value against a schema of the document."""
    return jsonschema.Draft202012Validator({**schema, "components": document["components"]})


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def inside(value: Any) -> Iterator[Any]:
    """Yield a value and all values in it."""
    yield value
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from inside(one)


async def test_it_is_a_valid_description() -> None:
    document = await description()
    assert document["openapi"] == "3.1.0"
    assert {"title", "version"} <= document["info"].keys()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for one in inside(document):
        if isinstance(one, dict) and "$ref" in one:
            head, name = one["$ref"].rsplit("/", 1)
            assert (head, name in schemas) == ("#/components/schemas", True)
    for method, path, operation in operations(document):
        assert operation["summary"]
        assert ("requestBody" in operation) == (method == "POST")
        named = [one["name"] for one in operation.get("parameters", []) if one["in"] == "path"]
        assert [f"{{{name}}}" in path for name in named] == [True] * path.count("{")
        assert all("description" in answer for answer in operation["responses"].values())


def test_it_names_all_addresses_that_there_are() -> None:
    chat, settings = chat_with(ScriptedEngine()), Settings()
    mount, *at_root = api.routes(chat, settings)
    inner: Any = mount
    found = {f"/v1{route.path}" for route in inner.app._app.routes}
    found |= {route.path for route in at_root}  # type: ignore[attr-defined]
    document: Any = api.Description(chat, settings)._document
    assert set(document["paths"]) == {
        path.replace(":path", "") for path in found if not path.endswith("/")
    }


async def test_its_examples_are_answered_as_it_says() -> None:
    document = await description()
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    for method, path, operation in operations(document):
        id = programs.chat.name
        if path.startswith("/v1/responses/"):
            id = (await programs.post("/responses", {"input": "a"})).json()["id"]
        url = "http://here" + path.replace("{id}", id)
        body = None
        if method == "POST":
            sent = operation["requestBody"]["content"]["application/json"]
            body = sent["example"]
            checker(document, sent["schema"]).validate(body)
        answer = await programs.client.request(method, url, json=body)
        assert answer.status_code == 200, answer.text
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        checker(document, schema).validate(answer.json())


@pytest.mark.parametrize(
    ("path", "body", "chunk"),
    [
        ("/v1/chat/completions", {"messages": HI}, "ChatCompletionChunk"),
        ("/v1/completions", {"prompt": "a"}, "TextCompletion"),
    ],
)
async def test_streams_are_as_it_says(path: str, body: Any, chunk: str) -> None:
    document = await description()
    content = document["paths"][path]["post"]["responses"]["200"]["content"]
    assert chunk in content["text/event-stream"]["schema"]["description"]
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
    answer = await programs.client.post(f"http://here{path}", json=asked)
    check = checker(document, {"$ref": f"#/components/schemas/{chunk}"})
    *chunks, done = events(answer)
    assert done == "[DONE]"
    assert len(chunks) > 2
    for one in chunks:
        check.validate(one)


async def test_a_stream_of_a_response_is_as_it_says() -> None:
    document = await description()
    content = document["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    assert "a ResponseEvent." in content["text/event-stream"]["schema"]["description"]
    check = checker(document, {"$ref": "#/components/schemas/ResponseEvent"})
    whole = checker(document, {"$ref": "#/components/schemas/Response"})
    for one in await streams(Programs(ScriptedEngine(lambda prompt: "ok"))):
        check.validate(one)
        if "response" in one:
            whole.validate(one["response"])


async def test_streams_of_anthropics_are_as_it_says() -> None:
    document = await description()
    content = document["paths"]["/v1/messages"]["post"]["responses"]["200"]["content"]
    assert "MessageEvent" in content["text/event-stream"]["schema"]["description"]
    script = "Look.\n" + anthropic.call("get_weather", anthropic.ROME)
    programs = anthropic.knowing_tools(lambda prompt: script)
    answer = await anthropic.ask(programs, tools=[anthropic.WEATHER], stream=True)
    check = checker(document, {"$ref": "#/components/schemas/MessageEvent"})
    events = anthropic.events(answer)
    assert {event["type"] for event in events} == set(
        document["components"]["schemas"]["MessageEvent"]["properties"]["type"]["enum"]
    )
    for one in events:
        check.validate(one)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/responses", {"input": "a", "previous_response_id": "other"}),
        ("GET", "/v1/responses/other", None),
        ("DELETE", "/v1/responses/other", None),
        ("GET", "/v1/responses/other/input_items", None),
        ("POST", "/v1/messages", {}),
        ("POST", "/v1/messages", "text"),
        ("POST", "/v1/messages/count_tokens", {}),
        ("POST", "/v1/chat/completions", {}),
        ("GET", "/v1/models/other", None),
        ("POST", "/tokenize", {}),
        ("POST", "/v1/completions", "text"),
    ],
)
async def test_so_are_errors(method: str, path: str, body: Any) -> None:
    document = await description()
    programs = Programs(ScriptedEngine())
    kind = {"Content-Type": "text/plain"} if body == "text" else {}
    sent = {"content": body} if body == "text" else {"json": body}
    answer = await programs.client.request(method, f"http://here{path}", headers=kind, **sent)
    described = {
        path.replace("{id}", "other"): methods for path, methods in document["paths"].items()
    }
    responses = described[path][method.lower()]["responses"]
    schema = responses[str(answer.status_code)]["content"]["application/json"]["schema"]
    checker(document, schema).validate(answer.json())


#: Bodies, and whether they are ones that could be answered.
BODIES: list[tuple[Any, bool]] = [
    ({"messages": HI}, True),
    ({"messages": HI, "temperature": None, "stop": None, "tools": None, "suffix": None}, True),
    ({"messages": HI, "temperature": 2, "top_k": -1, "seed": -5, "max_tokens": -1}, True),
    ({"messages": HI, "stop": "a"}, True),
    ({"messages": HI, "stop": ["a"], "stream": True, "metadata": {"a": 1}}, True),
    ({"messages": HI, "anything": 1}, True),
    ({"messages": [{"role": "assistant", "content": None}, *HI]}, True),
    ({"messages": [{"role": "assistant"}, *HI]}, True),
    ({"messages": [{"role": "user", "content": ["a", {"type": "text", "text": "b"}]}]}, True),
    (
        {
            "messages": [
                *HI,
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "1", "function": {"name": "a", "arguments": {}}}],
                },
                {"role": "tool", "tool_call_id": "1", "content": "b"},
            ]
        },
        True,
    ),
    ({"messages": HI, "response_format": {"type": "text"}}, True),
    ({"messages": HI, "n": 1, "tool_choice": "auto", "modalities": ["text"]}, True),
    ({"messages": HI, "thinking": {"type": "enabled", "budget_tokens": 9}}, True),
    ({"messages": HI, "thinking": False, "reasoning": {"effort": "none"}}, True),
    ({"messages": HI, "thinking": None, "thinking_token_budget": -1}, True),
    ({"messages": HI, "chat_template_kwargs": {"enable_thinking": None, "a": [1]}}, True),
    ({"messages": [*HI, {"role": "assistant", "reasoning_content": {"any": 1}}]}, True),
    ({"messages": [*HI, {"role": "assistant", "content": [{"type": "reasoning"}]}]}, True),
    ({"messages": HI, "thinking": "on"}, False),
    ({"messages": HI, "thinking": "sometimes"}, False),
    ({"messages": HI, "thinking": {"type": "sometimes"}}, False),
    ({"messages": HI, "thinking": {"budget_tokens": -2}}, False),
    ({"messages": HI, "thinking_budget": -1}, False),
    ({"messages": HI, "enable_thinking": "no"}, False),
    ({"messages": HI, "reasoning": "high"}, False),
    ({"messages": HI, "reasoning_effort": 3}, False),
    ({"messages": HI, "chat_template_kwargs": []}, False),
    ({"messages": HI, "chat_template_kwargs": {"enable_thinking": "no"}}, False),
    ({}, False),
    ({"messages": []}, False),
    ({"messages": None}, False),
    ({"messages": ["a"]}, False),
    ({"messages": [{"role": "user"}]}, False),
    ({"messages": [{"role": "user", "content": None}]}, False),
    ({"messages": [{"role": "robot", "content": "a"}]}, False),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, False),
    ({"messages": HI, "temperature": 3}, False),
    ({"messages": HI, "temperature": "1"}, False),
    ({"messages": HI, "max_tokens": -2}, False),
    ({"messages": HI, "n": 2}, True),
    ({"messages": HI, "n": 17}, False),
    ({"messages": HI, "num_beams": 2}, False),
    ({"messages": HI, "suffix": "a"}, False),
    ({"messages": HI, "prompt": "a"}, False),
    ({"messages": HI, "regex": "a"}, False),
    ({"messages": HI, "modalities": ["audio"]}, False),
    ({"messages": HI, "response_format": {"type": "json_schema"}}, False),
    ({"messages": HI, "stream": "yes"}, False),
]


@pytest.mark.parametrize(("body", "right"), BODIES, ids=lambda one: json.dumps(one)[:60])
async def test_it_allows_what_is_answered_and_nothing_that_is_refused(
    body: Any, right: bool
) -> None:
    document = await description()
    described = checker(document, {"$ref": "#/components/schemas/ChatBody"}).is_valid(body)
    programs = Programs(ScriptedEngine(lambda prompt: "ok"))
    answered = await programs.post("/chat/completions", body)
    assert (described, answered.status_code) == (right, 200 if right else 400)


@pytest.mark.parametrize(
    ("biases", "right"),
    [
        ({}, True),
        ({"97": 100, "0": -100.0}, True),
        ({"97": 101}, False),
        ({"a": 1}, False),
        ({"97": "1"}, False),
        ({"97": True}, False),
        ({str(id): 1 for id in range(301)}, False),
        ([[97, 1]], False),
    ],
)
async def test_it_allows_the_biases_that_are_taken(biases: Any, right: bool) -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"logit_bias"})
    programs = Programs(engine)
    document = (await programs.client.get("/openapi.json")).json()
    body = {"messages": HI, "logit_bias": biases}
    described = checker(document, {"$ref": "#/components/schemas/ChatBody"}).is_valid(body)
    answered = await programs.post("/chat/completions", body)
    assert (described, answered.status_code) == (right, 200 if right else 400)


@pytest.mark.parametrize(
    ("shape", "path", "body", "right"),
    [
        ("TokenizeBody", "/tokenize", {"prompt": ""}, True),
        ("TokenizeBody", "/tokenize", {"prompt": "a", "messages": None}, True),
        ("TokenizeBody", "/tokenize", {"messages": HI}, True),
        ("TokenizeBody", "/tokenize", {}, False),
        ("TokenizeBody", "/tokenize", {"prompt": None}, False),
        ("TokenizeBody", "/tokenize", {"prompt": "a", "messages": HI}, False),
        ("TokenizeBody", "/tokenize", {"prompt": 5}, False),
        ("DetokenizeBody", "/detokenize", {"tokens": []}, True),
        ("DetokenizeBody", "/detokenize", {"tokens": [-1]}, False),
        ("DetokenizeBody", "/detokenize", {"tokens": None}, False),
        ("ResponseBody", "/responses", {"input": "a"}, True),
        ("ResponseBody", "/responses", {"input": HI, "instructions": None, "user": "a"}, True),
        (
            "ResponseBody",
            "/responses",
            {
                "input": [
                    {"type": "reasoning", "id": "1", "summary": []},
                    {"type": "function_call", "call_id": "1", "name": "a", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "1", "output": [{"text": "a"}]},
                    {"type": "message", "role": "assistant", "content": [], "id": "1"},
                    {"role": "developer", "content": [{"type": "input_text", "text": "a"}]},
                ]
            },
            True,
        ),
        ("ResponseBody", "/responses", {"input": "a", "tool_choice": "none"}, True),
        ("ResponseBody", "/responses", {"input": "a", "tool_choice": {"type": "auto"}}, True),
        ("ResponseBody", "/responses", {"input": "a", "text": {"format": None}}, True),
        ("ResponseBody", "/responses", {"input": "a", "include": ["a"], "background": None}, True),
        ("ResponseBody", "/responses", {}, False),
        ("ResponseBody", "/responses", {"input": []}, False),
        ("ResponseBody", "/responses", {"input": " "}, False),
        ("ResponseBody", "/responses", {"input": None}, False),
        ("ResponseBody", "/responses", {"input": ["a"]}, False),
        ("ResponseBody", "/responses", {"input": [{"type": "item_reference"}]}, False),
        ("ResponseBody", "/responses", {"input": [{"type": "function_call", "name": "a"}]}, False),
        ("ResponseBody", "/responses", {"input": "a", "messages": HI}, False),
        ("ResponseBody", "/responses", {"input": "a", "response_format": {}}, False),
        ("ResponseBody", "/responses", {"input": "a", "background": True}, False),
        ("ResponseBody", "/responses", {"input": "a", "tools": [{"type": "a"}]}, True),
        ("ResponseBody", "/responses", {"input": "a", "tools": [{"type": "function"}]}, False),
        ("ResponseBody", "/responses", {"input": "a", "tool_choice": "any"}, False),
        ("ResponseBody", "/responses", {"input": "a", "tool_choice": {"type": "a"}}, False),
        (
            "ResponseBody",
            "/responses",
            {"input": "a", "text": {"format": {"type": "json_schema"}}},
            False,
        ),
        (
            "ResponseBody",
            "/responses",
            {"input": "a", "include": ["message.output_text.logprobs"]},
            False,
        ),
        ("CompletionBody", "/completions", {"prompt": ["a"], "echo": None}, True),
        ("CompletionBody", "/completions", {"prompt": " "}, False),
        ("CompletionBody", "/completions", {"prompt": ["a", "b"]}, True),
        ("CompletionBody", "/completions", {"prompt": [1, 2]}, True),
        ("CompletionBody", "/completions", {"prompt": [[1, 2], [3]]}, True),
        ("CompletionBody", "/completions", {"prompt": [[]]}, False),
        ("CompletionBody", "/completions", {"prompt": [1, "a"]}, False),
        ("CompletionBody", "/completions", {"prompt": "a", "messages": HI}, False),
        ("MessagesBody", "/messages", {"messages": HI, "max_tokens": 5}, True),
        ("MessagesBody", "/messages", {"messages": HI, "system": None, "tools": None}, True),
        ("MessagesBody", "/messages", {"messages": HI, "system": ["a"], "thinking": {}}, True),
        ("MessagesBody", "/messages", {"messages": HI, "stop_sequences": ["a"]}, True),
        ("MessagesBody", "/messages", {"messages": BLOCKS}, True),
        ("MessagesBody", "/messages", {"messages": HI, "temperature": "warm"}, False),
        ("CountBody", "/messages/count_tokens", {"messages": HI, "temperature": "warm"}, True),
        ("CountBody", "/messages/count_tokens", {"messages": [], "system": "a"}, False),
        ("MessagesBody", "/messages", {"messages": []}, False),
        ("MessagesBody", "/messages", {"messages": HI, "system": 5}, False),
        ("MessagesBody", "/messages", {"messages": HI, "mcp_servers": [1]}, False),
        ("MessagesBody", "/messages", {"messages": HI, "tools": [{"name": "a"}]}, False),
        ("MessagesBody", "/messages", {"messages": HI, "tool_choice": {"type": "tool"}}, False),
        ("MessagesBody", "/messages", {"messages": HI, "output_config": {"format": 1}}, False),
        (
            "MessagesBody",
            "/messages",
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            False,
        ),
    ],
)
async def test_it_does_so_for_every_shape(shape: str, path: str, body: Any, right: bool) -> None:
    document = await description()
    described = checker(document, {"$ref": f"#/components/schemas/{shape}"}).is_valid(body)
    answered = await Programs(ScriptedEngine(lambda prompt: "ok")).post(path, body)
    assert (described, answered.status_code) == (right, 200 if right else 400)


async def test_what_the_engine_can_obey_is_offered_and_defaults_are_the_hosts() -> None:
    engine = ScriptedEngine()
    engine.supports = frozenset({"regex"})
    programs = Programs(engine, temperature=0.25)
    document = (await programs.client.get("/openapi.json")).json()
    fields = document["components"]["schemas"]["ChatBody"]["properties"]
    assert fields["temperature"]["default"] == 0.25
    assert "anyOf" in fields["regex"]
    assert fields["choices"]["enum"] == [[], None]


async def test_a_model_that_thinks_can_be_told_to() -> None:
    thinking = {"messages": HI, "thinking": "on"}
    for programs, right in [
        (by_letters(lambda prompt: "ok"), True),
        (Programs(ScriptedEngine()), False),
    ]:
        document = (await programs.client.get("/openapi.json")).json()
        described = checker(document, {"$ref": "#/components/schemas/ChatBody"})
        assert described.is_valid(thinking) == right
        assert (await programs.chats(thinking="on")).status_code == (200 if right else 400)


THOUGHTFUL = {"thinking": {"type": "adaptive"}}


@pytest.mark.parametrize(
    ("path", "body", "whole", "part"),
    [
        ("/chat/completions", {"messages": HI}, "ChatCompletion", "ChatCompletionChunk"),
        ("/responses", {"input": "hi"}, "Response", "ResponseEvent"),
        ("/messages", {"messages": HI, **THOUGHTFUL}, "AssistantMessage", "MessageEvent"),
    ],
)
async def test_thoughts_are_answered_as_it_says(
    path: str, body: Any, whole: str, part: str
) -> None:
    programs = by_letters(lambda prompt: "", partly="<think>\nHm.\n</think>\n\nHello!")
    document = await description()
    answer = (await programs.post(path, body)).json()
    assert "Hm." in json.dumps(answer)
    checker(document, {"$ref": f"#/components/schemas/{whole}"}).validate(answer)
    streamed = await programs.post(path, {**body, "stream": True})
    sent = re.findall(r"^data: ([{].*)$", streamed.text, re.MULTILINE)
    assert len(sent) > 6
    check = checker(document, {"$ref": f"#/components/schemas/{part}"})
    for one in sent:
        check.validate(json.loads(one))


async def test_it_says_whether_a_key_is_asked_for_and_where_it_is() -> None:
    assert "security" not in await description()
    keyed = await description(api_key="secret")
    assert keyed["security"] == [{"key": []}]
    assert keyed["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    assert keyed["servers"] == [{"url": "/"}]
    either = keyed["paths"]["/v1/messages"]["post"]["security"]
    assert either == [{"key": []}, {"x-api-key": []}]
    assert keyed["components"]["securitySchemes"]["x-api-key"]["name"] == "x-api-key"


def test_what_is_read_is_what_is_described() -> None:
    asked = read(ChatBody, json.dumps({"messages": HI, "colour": 1}).encode())
    assert asked.unknown == ["colour"]


async def test_the_page_on_the_api_names_every_address() -> None:
    told = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
    for path in (await description())["paths"]:
        assert f"{path}`" in told
