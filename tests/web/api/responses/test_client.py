"""chat.web.api.responses as the package `openai` sees it, over HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from chat.errors import EngineError
from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from tests.conftest import serving
from tests.support import tools
from tests.support.fakes import ScriptedEngine
from tests.support.ports import free_port
from tests.support.tools import speaking
from tests.support.waiting import until

Server = tuple[str, ScriptedEngine]


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    """One server for all, which refuses what it does not know, so that nothing is ignored."""
    engine = ScriptedEngine()
    with serving() as start:
        yield start(engine, max_waiting=0, api_key="secret", strict_api=True) + "v1", engine


@pytest.fixture
def engine(served: Server) -> ScriptedEngine:
    """The server's engine, as good as new."""
    until(lambda: served[1].active == 0)
    vars(served[1]).update(vars(ScriptedEngine()), supports=frozenset({"json_schema"}))
    return served[1]


@pytest.fixture
def client(served: Server, engine: ScriptedEngine) -> OpenAI:
    return OpenAI(base_url=served[0], api_key="secret", max_retries=0)


def test_a_response_is_created_and_gone_on_with(client: OpenAI, engine: ScriptedEngine) -> None:
    first = client.responses.create(model="m", input="hi", instructions="Rhyme.")
    assert (first.output_text, first.status, first.error) == ("You said: hi", "completed", None)
    assert first.usage
    assert first.usage.output_tokens == 12
    second = client.responses.create(model="m", input="again", previous_response_id=first.id)
    assert second.output_text == "You said: again"
    assert "user: hi\0assistant: You said: hi\0user: again\0" in engine.prompts[1]


def test_items_of_a_response_are_input_of_the_next(client: OpenAI, engine: ScriptedEngine) -> None:
    items: list[Any] = [{"role": "user", "content": "hi"}]
    items += client.responses.create(model="m", input=items, store=False).output
    items.append({"role": "user", "content": "again"})
    client.responses.create(model="m", input=items, store=False)
    assert "user: hi\0assistant: You said: hi\0user: again\0" in engine.prompts[1]


def test_a_response_is_streamed(client: OpenAI, engine: ScriptedEngine) -> None:
    engine.partly = "Well: "
    events = list(client.responses.create(model="m", input="hi", stream=True))
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == "Well: You said: hi"
    assert said[:4] == ["W", "e", "l", "l"]
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Well: You said: hi"


def test_the_helper_for_streams_puts_a_response_together(client: OpenAI) -> None:
    with client.responses.stream(model="m", input="hi") as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas[-1].snapshot == final.output_text == "You said: hi"
    found = client.responses.retrieve(final.id)
    assert found.output_text == "You said: hi"
    assert [item.type for item in client.responses.input_items.list(final.id)] == ["message"]
    client.responses.delete(final.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(final.id)


async def test_the_async_client_streams(served: Server, engine: ScriptedEngine) -> None:
    client = AsyncOpenAI(base_url=served[0], api_key="secret", max_retries=0)
    stream = await client.responses.create(model="m", input="hi", stream=True)
    said = [event.delta async for event in stream if event.type == "response.output_text.delta"]
    assert "".join(said) == "You said: hi"


class Person(BaseModel):
    name: str
    age: int


def test_the_helper_for_schemas_gets_its_object(client: OpenAI, engine: ScriptedEngine) -> None:
    engine.script = lambda prompt: '{"name": "Ann", "age": 41}'
    reply = client.responses.parse(model="m", input="hi", text_format=Person)
    assert reply.output_parsed == Person(name="Ann", age=41)
    with client.responses.stream(model="m", input="hi", text_format=Person) as stream:
        assert stream.get_final_response().output_parsed == Person(name="Ann", age=41)
    assert json.loads(engine.samplings[0].json_schema)["required"] == ["name", "age"]
    client.responses.create(model="m", input=[*reply.output, {"role": "user", "content": "more"}])


def test_what_is_refused_is_raised(client: OpenAI) -> None:
    create = client.responses.create
    with pytest.raises(openai.BadRequestError) as refused:
        create(model="m", input="hi", background=True)
    assert refused.value.param == "background"
    with pytest.raises(openai.NotFoundError) as gone:
        create(model="m", input="hi", previous_response_id="resp_1")
    assert gone.value.code == "previous_response_not_found"
    with pytest.raises(openai.BadRequestError) as too_long:
        create(model="m", input="x" * 5000, stream=True)
    assert too_long.value.code == "context_length_exceeded"


def test_an_error_that_ends_a_stream_is_raised(client: OpenAI, engine: ScriptedEngine) -> None:
    def fail(prompt: str) -> str:
        raise EngineError("The model is tired.")

    engine.script, engine.partly = fail, "partly"
    seen = []
    with pytest.raises(openai.APIError, match=r"^The model is tired\.$"):
        seen.extend(client.responses.create(model="m", input="hi", stream=True))
    assert seen[-1].type == "response.failed"


def test_a_stream_that_is_closed_stops_within_one_token(
    client: OpenAI, engine: ScriptedEngine
) -> None:
    engine.script, engine.pace = lambda prompt: "x" * 250, 0.2
    with client.responses.create(model="m", input="hi", stream=True) as stream:
        first = next(iter(stream))
        next(event for event in stream if event.type == "response.output_text.delta")
        given, engine.pace = engine.given, 5.0
    until(lambda: engine.active == 0)
    assert engine.given - given <= 1
    assert first.type == "response.created"
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.response.id)


@pytest.fixture
def tooled() -> Iterator[OpenAI]:
    """A client of a model that calls a tool until it is told the weather."""
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>'

    def script(prompt: str) -> str:
        return "It is sunny." if "22 degrees" in prompt else f"Let me look.\n{call}"

    chosen = Settings(server_port=free_port(), strict_api=True)
    built = page.build(speaking(tools.hermes(), script), chosen)
    address = serve.launch(built, chosen, block=False)
    yield OpenAI(base_url=f"{address}v1", api_key="none", max_retries=0)
    built.close()


def test_an_agent_calls_a_tool_and_tells_of_it(tooled: OpenAI) -> None:
    offer: list[Any] = [{"type": "function", "name": "get_weather", "parameters": tools.PLACE}]
    for kept in (False, True):
        items: list[Any] = [{"role": "user", "content": "How is the weather?"}]
        with tooled.responses.stream(model="m", input=items, tools=offer, store=kept) as stream:
            first = stream.get_final_response()
        said, call = first.output
        assert said.type == "message"
        assert first.output_text == "Let me look."
        assert call.type == "function_call"
        assert json.loads(call.arguments) == {"city": "Rome"}
        result: Any = {"type": "function_call_output", "call_id": call.call_id}
        result["output"] = "22 degrees"
        if kept:
            last = tooled.responses.create(
                model="m", input=[result], tools=offer, previous_response_id=first.id
            )
        else:
            more = [*items, *first.output, result]
            last = tooled.responses.create(model="m", input=more, tools=offer, store=False)
        assert last.output_text == "It is sunny."
