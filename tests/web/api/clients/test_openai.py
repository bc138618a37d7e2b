"""The package `openai`: what its users call gives what it gives them elsewhere."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from chat.errors import EngineError
from tests.support.schemas import Everything
from tests.support.waiting import until
from tests.web.api.clients import HI, Server


@pytest.fixture
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=server[0], api_key="secret", max_retries=0)


@pytest.fixture
def async_client(server: Server) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=server[0], api_key="secret", max_retries=0)


def test_openai_lists_the_model_and_gets_a_reply(client: OpenAI) -> None:
    (model,) = client.models.list()
    reply = client.chat.completions.create(model=model.id, messages=HI)
    assert reply.model == model.id
    assert reply.choices[0].message.content == "You said: hi"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage
    assert reply.usage.completion_tokens == 12


def test_openai_goes_on_with_a_conversation_of_its_own_replies(
    client: OpenAI, server: Server
) -> None:
    messages = [*HI]
    messages.append(client.chat.completions.create(model="m", messages=messages).choices[0].message)
    messages.append({"role": "user", "content": "again"})
    client.chat.completions.create(model="m", messages=messages)
    assert "user: hi\0assistant: You said: hi\0user: again\0" in server[1].prompts[1]


def test_openai_streams(client: OpenAI, server: Server) -> None:
    server[1].partly = "Well: "
    options: Any = {"include_usage": True}
    *chunks, last = client.chat.completions.create(
        model="m", messages=HI, stream=True, stream_options=options
    )
    parts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    assert "".join(parts) == "Well: You said: hi"
    assert parts[:4] == ["W", "e", "l", "l"]
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.usage
    assert last.usage.completion_tokens == 18


def test_openais_helper_for_streams_puts_the_reply_together(client: OpenAI) -> None:
    with client.chat.completions.stream(model="m", messages=HI) as stream:
        said = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion().choices[0]
    assert said == final.message.content == "You said: hi"
    assert final.message.role == "assistant"


class Person(BaseModel):
    name: str
    age: int


def test_openais_helper_for_schemas_gets_its_object(client: OpenAI, server: Server) -> None:
    server[1].script = lambda prompt: '{"name": "Ann", "age": 41}'
    reply = client.chat.completions.parse(model="m", messages=HI, response_format=Person)
    assert reply.choices[0].message.parsed == Person(name="Ann", age=41)
    assert json.loads(server[1].samplings[0].json_schema) == {
        **Person.model_json_schema(),
        "additionalProperties": False,
    }


class Node(BaseModel):
    name: str
    next: list["Node"]


def test_openais_helper_gets_objects_of_any_shape(client: OpenAI, server: Server) -> None:
    place = '{"zip": "12ä", "floor": -2}'
    pets = '[{"kind": "cat"}, {"kind": "dog", "barks": true}]'
    everything = (
        f'{{"mood": "größer", "place": {place}, "other": null, "pair": [true, 1], "pets": {pets}, '
        '"share": 0.25, "counts": {}}'
    )
    nodes = '{"name": "a", "next": [{"name": "b", "next": []}]}'
    for shape, reply in ((Everything, everything), (Node, nodes)):
        server[1].script = lambda prompt, reply=reply: reply
        parsed = client.chat.completions.parse(model="m", messages=HI, response_format=shape)
        assert parsed.choices[0].message.parsed == shape.model_validate_json(reply)


def test_openai_continues_a_text(client: OpenAI, server: Server) -> None:
    server[1].script = lambda prompt: " upon a time"
    assert client.completions.create(model="m", prompt="Once").choices[0].text == " upon a time"
    chunks = client.completions.create(model="m", prompt="Once", stream=True, echo=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "Once upon a time"
    assert server[1].prompts == ["Once", "Once"]


async def test_openai_async_gets_a_reply_and_streams(async_client: AsyncOpenAI) -> None:
    reply = await async_client.chat.completions.create(model="m", messages=HI)
    assert reply.choices[0].message.content == "You said: hi"
    chunks = await async_client.chat.completions.create(model="m", messages=HI, stream=True)
    said = [chunk.choices[0].delta.content or "" async for chunk in chunks]
    assert "".join(said) == "You said: hi"


def test_a_stream_that_openai_closes_stops_within_one_token(client: OpenAI, server: Server) -> None:
    _, engine = server
    engine.script, engine.pace = lambda prompt: "x" * 250, 0.2
    with client.chat.completions.create(model="m", messages=HI, stream=True) as stream:
        next(chunk for chunk in stream if chunk.choices[0].delta.content)
        given, engine.pace = engine.given, 5.0
    until(lambda: engine.active == 0)
    assert engine.given - given <= 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_async_openai_gives_up_stops_within_one_token(
    async_client: AsyncOpenAI, server: Server, stream: bool
) -> None:
    _, engine = server
    engine.script, engine.pace = lambda prompt: "x" * 250, 0.2

    async def ask() -> None:
        reply: Any = await async_client.chat.completions.create(
            model="m", messages=HI, stream=stream
        )
        async for _ in reply:
            pass

    asking = asyncio.create_task(ask())
    while engine.given < 2:
        await asyncio.sleep(0.01)
    given, engine.pace = engine.given, 5.0
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.to_thread(until, lambda: engine.active == 0)
    assert engine.given - given <= 1


def test_a_call_that_times_out_stops(client: OpenAI, server: Server) -> None:
    server[1].reading = 600.0
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="m", messages=HI, timeout=0.5)
    until(lambda: server[1].active == 0)


def test_openai_raises_what_it_knows_for_what_is_refused(client: OpenAI, server: Server) -> None:
    create = client.chat.completions.create
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="m", messages=HI, temperature=9)
    assert refused.value.param == "temperature"
    assert "Temperature must be at most 2." in str(refused.value)
    with pytest.raises(openai.BadRequestError) as too_long:
        create(model="m", messages=[{"role": "user", "content": "x" * 5000}])
    assert too_long.value.code == "context_length_exceeded"
    with pytest.raises(openai.AuthenticationError, match="asks for a key"):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.NotFoundError):
        client.files.list()


def test_openai_hears_of_a_full_queue(client: OpenAI, server: Server) -> None:
    server[1].reading = 600.0
    with client.chat.completions.create(model="m", messages=HI, stream=True) as held:
        next(iter(held))
        with pytest.raises(openai.RateLimitError, match="queue is full") as full:
            client.chat.completions.create(model="m", messages=HI)
    assert int(full.value.response.headers["retry-after"]) > 0


def test_openai_raises_an_error_that_ends_a_stream(client: OpenAI, server: Server) -> None:
    def fail(prompt: str) -> str:
        raise EngineError("The model is tired.")

    server[1].script, server[1].partly = fail, "partly"
    said = []
    chunks = client.chat.completions.create(model="m", messages=HI, stream=True)
    with pytest.raises(openai.APIError, match=r"^The model is tired\.$"):
        said.extend(chunk.choices[0].delta.content for chunk in chunks)
    assert "".join(said) == "partly"


def test_openai_gets_thoughts_apart_and_sends_them_back(thoughtful: Server) -> None:
    client = OpenAI(base_url=thoughtful[0], api_key="secret", max_retries=0)
    reply = client.chat.completions.create(model="m", messages=HI, reasoning_effort="high")
    message = reply.choices[0].message
    assert message.content == "You said: hi"
    assert message.model_extra == {"reasoning_content": "They say hi."}
    assert reply.usage
    assert reply.usage.completion_tokens_details
    assert reply.usage.completion_tokens_details.reasoning_tokens
    messages: Any = [*HI, message, *HI]
    *chunks, last = client.chat.completions.create(
        model="m", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    deltas = [chunk.choices[0].delta for chunk in chunks]
    thoughts = [(delta.model_extra or {}).get("reasoning_content", "") for delta in deltas]
    assert "".join(thoughts) == "They say hi."
    assert "".join(delta.content or "" for delta in deltas) == "You said: hi"
    assert last.usage == reply.usage.model_copy(
        update={
            "prompt_tokens": last.usage and last.usage.prompt_tokens,
            "total_tokens": last.usage and last.usage.total_tokens,
        }
    )
    off = {"chat_template_kwargs": {"enable_thinking": False}}
    silent = client.chat.completions.create(model="m", messages=HI, extra_body=off)
    assert silent.choices[0].message.model_extra == {}


def test_openais_responses_have_thoughts_as_items(thoughtful: Server) -> None:
    client = OpenAI(base_url=thoughtful[0], api_key="secret", max_retries=0)
    first = client.responses.create(model="m", input="hi", reasoning={"effort": "low"})
    thought, _ = first.output
    assert thought.type == "reasoning"
    assert [part.text for part in thought.content or []] == ["They say hi."]
    assert first.output_text == "You said: hi"
    assert first.usage
    assert first.usage.output_tokens_details.reasoning_tokens
    said: Any = [*HI, *first.output, *HI]
    with client.responses.stream(model="m", input=said) as stream:
        found = "".join(
            event.delta for event in stream if event.type == "response.reasoning_text.delta"
        )
        final = stream.get_final_response()
    assert found == "They say hi."
    assert [item.type for item in final.output] == ["reasoning", "message"]
