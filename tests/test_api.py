"""chat.api: OpenAI's API around a scripted engine, without a server."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from chat import api
from chat.errors import EngineError
from chat.sampling import Sampling
from chat.settings import Settings
from prompts import PromptFormat
from prompts.plain import Plain
from tests.fakes import END as END_ID
from tests.fakes import ScriptedEngine, chat_with, echo

HI = [{"role": "user", "content": "hi"}]
END = chr(END_ID)


class Programs:
    """What a program can ask of the API."""

    def __init__(
        self,
        engine: ScriptedEngine,
        max_waiting: int = 32,
        format: PromptFormat | None = None,
        **settings: Any,
    ) -> None:
        self.engine = engine
        self.chat = chat_with(engine, max_waiting, format)
        app = Starlette(routes=api.routes(self.chat, Settings(**settings)))
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://here/v1")

    async def chats(self, **fields: Any) -> httpx.Response:
        return await self.post("/chat/completions", {"messages": HI, **fields})

    async def completes(self, **fields: Any) -> httpx.Response:
        return await self.post("/completions", {"prompt": "Once", **fields})

    async def post(self, path: str, body: Any) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=headers)


def events(answer: httpx.Response) -> list[Any]:
    """Return the data of the events of a stream, the last of which says that it is done."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    lines = [line for line in answer.text.split("\n\n") if line]
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert len(data) == sum(not line.startswith(":") for line in lines)
    return [one if one == "[DONE]" else json.loads(one) for one in data]


def error(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    return dict(body["error"])


async def test_a_reply_has_openais_shape() -> None:
    answer = (await Programs(ScriptedEngine()).chats(model="any")).json()
    assert answer.pop("id").startswith("chatcmpl-")
    assert answer.pop("created") > 1_700_000_000
    said = {"role": "assistant", "content": "You said: hi", "refusal": None}
    prompt = len("system: You are a helpful assistant.|user: hi|assistant: ")
    assert answer == {
        "object": "chat.completion",
        "model": "model",
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": 12,
            "total_tokens": prompt + 12,
        },
    }


async def test_a_streamed_reply_comes_in_chunks_that_make_it_up() -> None:
    engine = ScriptedEngine(lambda prompt: "llo", partly="He")
    *chunks, done = events(await Programs(engine).chats(stream=True))
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    first, *between, last = [chunk["choices"][0] for chunk in chunks]
    assert (first["delta"], first["finish_reason"]) == ({"role": "assistant", "content": ""}, None)
    assert [one["delta"] for one in between] == [{"content": text} for text in ("H", "e", "llo")]
    assert {one["finish_reason"] for one in between} == {None}
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert not any("usage" in chunk for chunk in chunks)


@pytest.mark.parametrize("ask", [Programs.chats, Programs.completes])
async def test_a_stream_ends_with_the_usage_if_it_is_asked_for(ask: Callable[..., Any]) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "five!"))
    whole = (await ask(programs)).json()
    *chunks, last, done = events(
        await ask(programs, stream=True, stream_options={"include_usage": True})
    )
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert whole["usage"]["completion_tokens"] == 5
    assert all(chunk["usage"] is None for chunk in chunks)
    assert done == "[DONE]"


async def test_a_reply_that_is_cut_off_says_so() -> None:
    programs = Programs(ScriptedEngine())
    cut = {"max_tokens": 3}
    whole = (await programs.chats(**cut)).json()
    assert whole["choices"][0]["message"]["content"] == "You"
    assert whole["choices"][0]["finish_reason"] == "length"
    assert events(await programs.chats(stream=True, **cut))[-2]["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "length",
    }


@pytest.mark.parametrize(
    ("stop", "text"), [("said", "You"), ("\n", "You said: a"), (["b", "\n"], "You said: a")]
)
async def test_stop_strings_end_a_reply_and_are_not_in_it(stop: Any, text: str) -> None:
    programs = Programs(ScriptedEngine(echo))
    messages = [{"role": "user", "content": "a\nb"}]
    choice = (await programs.chats(messages=messages, stop=stop)).json()["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == (text, "stop")


async def prompted(programs: Programs, *messages: tuple[str, Any]) -> str:
    """Return the prompt that a conversation becomes."""
    sent = [{"role": role, "content": content} for role, content in messages]
    assert (await programs.chats(messages=sent)).status_code == 200
    return programs.engine.prompts[-1].replace(END, "|")


async def test_the_conversation_reaches_the_model() -> None:
    parts = [{"type": "text", "text": "sec"}, {"type": "text", "text": "ond"}]
    prompt = await prompted(
        Programs(ScriptedEngine()),
        ("system", "Rhyme."),
        ("developer", "Be brief."),
        ("user", "first"),
        ("assistant", "yes"),
        ("user", parts),
    )
    assert prompt == (
        "system: Rhyme.\n\nBe brief.|user: first|assistant: yes|user: second|assistant: "
    )


async def test_without_a_system_prompt_the_hosts_holds_and_an_empty_one_is_none() -> None:
    programs = Programs(ScriptedEngine(), system_prompt="Sing.")
    assert (await prompted(programs, ("user", "hi"))).startswith("system: Sing.|user: hi")
    assert (await prompted(programs, ("system", ""), ("user", "hi"))).startswith("user: hi")


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
    ("begun", "rest", "new"),
    [
        ("one", ", two", ", two"),
        ("one ", "two", "two"),
        ("one\n", "\ntwo", "\ntwo"),
        ("\n one", " two", " two"),
        ("one", "", ""),
    ],
)
async def test_a_reply_that_the_assistant_began_is_continued(
    begun: str, rest: str, new: str
) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: rest), system_prompt="")
    messages = [*HI, {"role": "assistant", "content": begun}]
    whole = (await programs.chats(messages=messages)).json()
    assert programs.engine.prompts == [f"user: hi{END}assistant: {begun}"]
    assert whole["choices"][0]["message"]["content"] == new
    assert whole["usage"]["completion_tokens"] == len(rest)
    *chunks, _ = events(await programs.chats(messages=messages, stream=True))
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == new


@pytest.mark.parametrize("format", [Plain(), Plain(echo=True)])
async def test_a_base_models_reply_that_was_begun_is_continued(format: PromptFormat) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " c"), format=format)
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": " b "}]
    whole = (await programs.chats(messages=messages)).json()
    assert programs.engine.prompts == ["a b "]
    assert whole["choices"][0]["message"]["content"] == " c"


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
                    "json_schema": {"schema": {"type": "object", "$defs": {}}},
                }
            },
            "response_format",
            "JSON schema asks for what is not offered, at $defs.",
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
        ({"frequency_penalty": 0.5}, "frequency_penalty", "frequency_penalty must be 0."),
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


async def test_a_message_that_is_too_long_says_so_as_openai_does() -> None:
    programs = Programs(ScriptedEngine())
    refused = error(await programs.chats(messages=[{"role": "user", "content": "x" * 1900}]), 400)
    assert refused["message"].startswith("Your message takes 1,9")
    assert (refused["param"], refused["code"]) == ("messages", "context_length_exceeded")
    assert error(await programs.completes(prompt="x" * 1900), 400)["param"] == "prompt"


async def test_a_full_queue_is_a_429_that_says_when_to_come_back() -> None:
    programs = Programs(ScriptedEngine(), max_waiting=0)
    with programs.chat.gate.enter():
        for stream in (False, True):
            answer = await programs.chats(stream=stream)
            refused = error(answer, 429)
            assert refused["message"].startswith("The queue is full: 1 people")
            assert refused["code"] == "rate_limit_exceeded"
            assert int(answer.headers["retry-after"]) > 0
    assert (await programs.chats()).status_code == 200


def fail_with(error: Exception) -> Callable[[str], str]:
    def script(prompt: str) -> str:
        raise error

    return script


async def test_an_engine_that_fails_is_a_500_with_its_sentence() -> None:
    programs = Programs(ScriptedEngine(fail_with(EngineError("The model is tired."))))
    failed = error(await programs.chats(), 500)
    assert (failed["message"], failed["type"]) == ("The model is tired.", "server_error")
    assert programs.chat.gate.size == 0


async def test_an_error_on_the_way_is_the_last_event_of_a_stream() -> None:
    engine = ScriptedEngine(fail_with(EngineError("The model is tired.")), partly="partial words")
    *chunks, failed = events(await Programs(engine).chats(stream=True))
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == "partial words"
    assert failed["error"]["message"] == "The model is tired."


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unforeseen_error_shows_neither_its_text_nor_a_traceback(
    stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    programs = Programs(ScriptedEngine(fail_with(RuntimeError("at /home/secret: my diary"))))
    messages = [{"role": "user", "content": "my diary"}]
    answer = await programs.chats(messages=messages, stream=stream)
    assert "Something went wrong on the server. Please try again." in answer.text
    assert "RuntimeError" in caplog.text
    assert not any(word in answer.text + caplog.text for word in ("diary", "secret"))
    assert "Traceback" not in answer.text


async def test_a_refusal_leaves_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "chat")
    await Programs(ScriptedEngine()).chats(messages=[{"role": "diary", "content": "diary"}])
    assert caplog.text == ""


async def test_who_waits_in_a_stream_gets_comments_meanwhile() -> None:
    programs = Programs(ScriptedEngine())
    with programs.chat.gate.enter():
        asking = asyncio.create_task(programs.chats(stream=True))
        while programs.chat.gate.size < 2:
            await asyncio.sleep(0.01)
    answer = await asking
    assert "\n\n: Waiting: 1 person is ahead of you…\n\n" in answer.text
    assert events(answer)[-1] == "[DONE]"


async def test_a_completion_continues_the_text_itself() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " upon a time"))
    answer = (await programs.completes()).json()
    assert programs.engine.prompts == ["Once"]
    assert answer.pop("id").startswith("cmpl-")
    assert answer.pop("created") > 1_700_000_000
    choice = {"index": 0, "text": " upon a time", "logprobs": None, "finish_reason": "stop"}
    assert answer == {
        "object": "text_completion",
        "model": "model",
        "choices": [choice],
        "usage": {"prompt_tokens": 4, "completion_tokens": 12, "total_tokens": 16},
    }


@pytest.mark.parametrize(("wanted", "text"), [(False, " upon"), (True, "Once upon")])
async def test_a_completion_repeats_its_text_if_that_is_asked_for(wanted: bool, text: str) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: " upon"), format=Plain(echo=True))
    whole = (await programs.completes(echo=wanted, prompt=["Once"])).json()
    assert whole["choices"][0]["text"] == text
    *chunks, _ = events(await programs.completes(echo=wanted, stream=True))
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == text
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}


async def test_a_base_model_is_not_instructed_by_the_host() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "!"), format=Plain())
    assert await prompted(programs, ("user", "Once")) == "Once"


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


async def test_the_model_is_listed_by_the_name_that_replies_bear() -> None:
    programs = Programs(ScriptedEngine())
    programs.chat.name = "owner/name"
    app = Starlette(routes=api.routes(programs.chat, Settings()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://a") as client:
        listed = (await client.get("/v1/models")).json()
        answer = (await client.post("/v1/chat/completions", json={"messages": HI})).json()
    (model,) = listed["data"]
    assert listed["object"] == "list"
    assert (model["id"], model["object"]) == ("owner/name", "model")
    assert answer["model"] == "owner/name"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "/files", 404),
        ("POST", "/chat", 404),
        ("GET", "/chat/completions", 405),
        ("DELETE", "/models", 405),
    ],
)
async def test_what_is_not_there_is_refused_in_the_same_shape(
    method: str, path: str, status: int
) -> None:
    answer = await Programs(ScriptedEngine()).client.request(method, f"{path}")
    assert error(answer, status)["message"].endswith(".")


KEYS = [
    ({}, False),
    ({"Authorization": "Bearer secret"}, True),
    ({"Authorization": "bearer secret "}, True),
    ({"Authorization": "Bearer secre"}, False),
    ({"Authorization": "Bearer secrets"}, False),
    ({"Authorization": "Basic secret"}, False),
    ({"Authorization": "secret"}, False),
    ({"Authorization": b"Bearer secr\xc3\xa9t"}, False),
    ({"Cookie": "secret"}, False),
]


@pytest.mark.parametrize(("headers", "right"), KEYS)
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/models"), ("POST", "/chat/completions"), ("POST", "/completions"), ("GET", "/x")],
)
async def test_a_key_is_asked_for_everywhere_if_one_is_set(
    headers: dict[str, Any], right: bool, method: str, path: str
) -> None:
    programs = Programs(ScriptedEngine(), api_key="secret")
    answer = await programs.client.request(method, path, headers=headers)
    if right:
        assert answer.status_code != 401
    else:
        assert error(answer, 401)["code"] == "invalid_api_key"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "secret" not in answer.text


async def test_a_key_can_be_of_any_letters() -> None:
    programs = Programs(ScriptedEngine(), api_key=" schlüssel ✓\n")
    right = {"Authorization": "Bearer schlüssel ✓".encode()}
    assert (await programs.client.get("/models", headers=right)).status_code == 200
    wrong = {"Authorization": "Bearer schlüssel".encode()}
    assert (await programs.client.get("/models", headers=wrong)).status_code == 401


async def test_with_a_login_and_without_a_key_there_is_no_way_around_the_login() -> None:
    programs = Programs(ScriptedEngine(), auth="ann:secret")
    for headers in ({}, {"Authorization": "Bearer secret"}, {"Authorization": "Bearer "}):
        answer = await programs.client.get("/models", headers=headers)
        assert "--api-key" in error(answer, 401)["message"]
    both = Programs(ScriptedEngine(), auth="ann:secret", api_key="key")
    right = {"Authorization": "Bearer key"}
    assert (await both.client.get("/models", headers=right)).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
async def test_what_a_page_of_another_site_could_send_is_not_answered(kind: str) -> None:
    programs = Programs(ScriptedEngine())
    body = json.dumps({"messages": HI})
    headers = {"Content-Type": kind} if kind else {}
    answer = await programs.client.post("/chat/completions", content=body, headers=headers)
    assert "application/json" in error(answer, 415)["message"]
    assert programs.engine.prompts == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text")}, optional={"text": ANYTHING}))
ROLES = st.sampled_from(["system", "developer", "user", "assistant"])
CONTENT = st.text(max_size=5) | PARTS | st.integers(0, 5000).map("x".__mul__)
SPOKEN = st.fixed_dictionaries({"role": ROLES | ANYTHING, "content": CONTENT | ANYTHING})
SCHEMAS = st.fixed_dictionaries(
    {"type": st.sampled_from(["object", "string", "array"])},
    optional={"properties": ANYTHING, "required": ANYTHING, "items": ANYTHING, "enum": ANYTHING},
)
FORMATS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "json_object", "json_schema"])},
    optional={"json_schema": st.fixed_dictionaries({"schema": SCHEMAS | ANYTHING})},
)
STRINGS = st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=3)
NUMBERS = st.integers(0, 2) | st.floats(0, 2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "messages": st.lists(SPOKEN, max_size=3),
    "prompt": CONTENT,
    "stream": st.booleans(),
    "stream_options": st.just({"include_usage": True}),
    "max_tokens": st.integers(-1, 5000),
    "response_format": FORMATS,
    "stop": STRINGS,
    "choices": STRINGS,
    "regex": st.text("a(|)*[]?{1,}\\^", max_size=6),
    "echo": st.booleans(),
    **dict.fromkeys(("temperature", "top_p", "top_k", "min_p", "seed", "n"), NUMBERS),
    **dict.fromkeys(("user", "model", "logprobs", "tools", "\ud800"), ANYTHING),
}


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A request that could be answered, of which some fields are something else."""
    path, body = draw(
        st.sampled_from(
            [("/chat/completions", {"messages": HI}), ("/completions", {"prompt": "a"})]
        )
    )
    odd = draw(st.lists(st.sampled_from(list(FIELDS)), max_size=2))
    return path, {**body, **{name: draw(FIELDS[name] | ANYTHING) for name in odd}}


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
async def test_whatever_is_sent_gets_a_reply_or_a_refusal_in_openais_shape(
    request_: tuple[str, Any],
) -> None:
    path, body = request_
    engine = ScriptedEngine(lambda prompt: "ok")
    engine.supports = frozenset({"choices", "regex", "json_schema"})
    programs = Programs(engine)
    answer = await programs.post(path, body)
    if answer.status_code == 400:
        assert error(answer, 400)["message"].endswith(".")
    elif body.get("stream"):
        assert events(answer)[-1] == "[DONE]"
    else:
        assert answer.json()["choices"][0]["finish_reason"] in ("stop", "length")
    assert programs.chat.gate.size == 0
