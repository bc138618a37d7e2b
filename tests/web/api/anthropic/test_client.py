"""The package `anthropic`: what its users call gives what it gives them elsewhere."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from chat.core.chat import Chat
from chat.core.gate import Gate
from chat.errors import EngineError
from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from tests.conftest import serving
from tests.support import tools
from tests.support.ports import free_port
from tests.support.programs import HI
from tests.support.thinking import qwen3
from tests.support.tools import Speaker, speaking
from tests.web.api.anthropic.support import ROME, TIME, WEATHER, call
from tests.web.api.clients import needed

anthropic = needed("anthropic")


def echo(prompt: str) -> str:
    return "You said: " + prompt.rsplit("<|im_start|>user\n", 1)[1].split("<|im_end|>")[0]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, Chat]]:
    """One server for all, with a key, which refuses what it does not know."""
    chat = speaking(tools.hermes(), echo)
    chat.gate = Gate(1, max_waiting=0)
    settings = Settings(server_port=free_port(), api_key="secret", strict_api=True)
    built = page.build(chat, settings)
    yield serve.launch(built, settings, block=False).rstrip("/"), chat
    built.close()


@pytest.fixture
def engine(served: tuple[str, Chat]) -> Any:
    """The engine of the server, as good as new."""
    _, chat = served
    deadline = time.monotonic() + 10
    while chat.gate.size:
        assert time.monotonic() < deadline, "a reply went on without its client"
        time.sleep(0.01)
    vars(chat.engine).update(script=echo, batch=9, prompts=[], samplings=[])
    return chat.engine


@pytest.fixture
def client(served: tuple[str, Chat], engine: Speaker) -> Any:
    return anthropic.Anthropic(base_url=served[0], api_key="secret", max_retries=0)


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 200, "messages": HI, **fields}


def test_it_gets_a_reply(client: Any, engine: Speaker) -> None:
    reply = client.messages.create(**asked(system="Rhyme.", extra_body={"temperature": 0.5}))
    assert [(block.type, block.text) for block in reply.content] == [("text", "You said: hi")]
    assert (reply.role, reply.stop_reason, reply.model) == ("assistant", "end_turn", "model")
    assert reply.usage.input_tokens > reply.usage.output_tokens > 0
    assert engine.prompts[0].startswith("<|im_start|>system\nRhyme.<|im_end|>")
    assert engine.samplings[0].temperature == 0.5


def test_it_goes_on_with_a_conversation_of_its_own_replies(client: Any, engine: Speaker) -> None:
    reply = client.messages.create(**asked())
    for said in (reply.content, reply.to_param()["content"]):
        messages = [*HI, {"role": "assistant", "content": said}, *HI]
        client.messages.create(**asked(messages=messages))
        assert "assistant\nYou said: hi<|im_end|>\n<|im_start|>user\nhi" in engine.prompts[-1]


def test_it_has_a_reply_begin_as_it_likes(client: Any, engine: Speaker) -> None:
    engine.script = lambda prompt: " is Paris."
    messages = [*HI, {"role": "assistant", "content": "It"}]
    reply = client.messages.create(**asked(messages=messages, stop_sequences=["."]))
    assert reply.content[0].text.strip() == "is Paris"
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", ".")


def test_it_streams(client: Any) -> None:
    with client.messages.stream(**asked()) as stream:
        assert "".join(stream.text_stream) == "You said: hi"
        final = stream.get_final_message()
    whole = client.messages.create(**asked())
    assert final.content[0].text == "You said: hi"
    assert (final.stop_reason, final.usage) == (whole.stop_reason, whole.usage)
    kinds = [event.type for event in client.messages.create(**asked(stream=True))]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")


async def test_it_does_so_asynchronously(served: tuple[str, Chat], engine: Speaker) -> None:
    async with anthropic.AsyncAnthropic(base_url=served[0], auth_token="secret") as client:
        reply = await client.messages.create(**asked())
        assert reply.content[0].text == "You said: hi"
        async with client.messages.stream(**asked()) as stream:
            assert (await stream.get_final_message()).content[0].text == "You said: hi"


@pytest.mark.parametrize("streamed", [False, True])
def test_it_has_tools_called_and_tells_their_results(
    client: Any, engine: Speaker, streamed: bool
) -> None:
    """An agent's loop, of two calls at once and then another."""

    def script(prompt: str) -> str:
        if "noon" in prompt:
            return "Sunny at noon."
        if "sunny" in prompt:
            return call("get_time", {})
        return "Let me look.\n" + call("get_weather", ROME) + call("get_weather", {"city": "Oslo"})

    def reply(messages: Any) -> Any:
        fields = asked(tools=[WEATHER, TIME], messages=messages)
        if not streamed:
            return client.messages.create(**fields)
        with client.messages.stream(**fields) as stream:
            return stream.get_final_message()

    engine.script = script
    returned = {"get_weather": "sunny", "get_time": "noon"}
    messages: list[Any] = [*HI]
    inputs = []
    while (message := reply(messages)).stop_reason == "tool_use":
        messages.append({"role": "assistant", "content": message.content})
        uses = [block for block in message.content if block.type == "tool_use"]
        inputs.append([use.input for use in uses])
        results = [
            {"type": "tool_result", "tool_use_id": use.id, "content": returned[use.name]}
            for use in uses
        ]
        messages.append({"role": "user", "content": results})
    assert inputs == [[ROME, {"city": "Oslo"}], [{}]]
    assert message.content[0].text == "Sunny at noon."
    assert message.stop_reason == "end_turn"


def test_its_own_loop_runs_tools(client: Any, engine: Speaker) -> None:
    @anthropic.beta_tool  # type: ignore[untyped-decorator]
    def get_weather(city: str) -> str:
        """Tells the weather."""
        return f"sunny in {city}"

    engine.script = lambda prompt: (
        "It is nice." if "sunny in Rome" in prompt else call("get_weather", ROME)
    )
    runner = client.beta.messages.tool_runner(**asked(tools=[get_weather]))
    assert runner.until_done().content[0].text == "It is nice."


def test_it_has_a_tool_called_by_name(client: Any, engine: Speaker) -> None:
    engine.script = lambda prompt: json.dumps({"name": "get_weather", "arguments": ROME})
    choice = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    reply = client.messages.create(**asked(tools=[WEATHER, TIME], tool_choice=choice))
    [use] = reply.content
    assert (use.name, use.input, reply.stop_reason) == ("get_weather", ROME, "tool_use")
    assert "get_weather" in engine.samplings[0].json_schema


class Person(BaseModel):
    name: str
    age: int


def test_its_helper_for_schemas_gets_its_object(client: Any, engine: Speaker) -> None:
    engine.script = lambda prompt: '{"name": "Ann", "age": 41}'
    reply = client.messages.parse(**asked(output_format=Person))
    assert reply.parsed_output == Person(name="Ann", age=41)
    assert set(json.loads(engine.samplings[0].json_schema)["properties"]) == {"name", "age"}


def test_it_counts_tokens(client: Any) -> None:
    fields = {"model": "claude", "messages": HI, "system": "Rhyme.", "tools": [WEATHER]}
    counted = client.messages.count_tokens(**fields)
    read = client.messages.create(**fields, max_tokens=5).usage.input_tokens
    assert counted.input_tokens == read


def test_it_raises_what_it_knows_for_what_is_refused(client: Any) -> None:
    with pytest.raises(anthropic.BadRequestError, match=r"Temperature must be at most 2\.") as bad:
        client.messages.create(**asked(extra_body={"temperature": 9}))
    assert bad.value.type == "invalid_request_error"
    image = [{"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": ""}}]}]
    with pytest.raises(anthropic.BadRequestError, match="block 1 is of the type image"):
        client.messages.create(**asked(messages=image))
    with pytest.raises(anthropic.AuthenticationError, match="asks for a key") as wrong:
        client.with_options(api_key="wrong").messages.create(**asked())
    assert wrong.value.type == "authentication_error"
    with pytest.raises(anthropic.NotFoundError) as missing:
        client.messages.batches.list()
    assert missing.value.type == "not_found_error"
    long = [{"role": "user", "content": "x" * 1_000_000}]
    with pytest.raises(anthropic.APIStatusError, match="The limit is") as large:
        client.messages.create(**asked(messages=long))
    assert (large.value.status_code, large.value.type) == (413, "request_too_large")


def test_it_raises_an_error_that_ends_a_stream(client: Any, engine: Speaker) -> None:
    def fail(prompt: str) -> str:
        raise EngineError("The model is tired.")

    engine.script = fail
    with pytest.raises(anthropic.InternalServerError, match=r"The model is tired\."):
        client.messages.create(**asked())
    with (
        pytest.raises(anthropic.APIStatusError, match=r"The model is tired\.") as tired,
        client.messages.stream(**asked()) as stream,
    ):
        stream.get_final_message()
    assert tired.value.type == "api_error"


def test_it_hears_of_a_full_queue(client: Any, served: tuple[str, Chat]) -> None:
    _, chat = served
    with (
        chat.gate.enter(),
        pytest.raises(anthropic.RateLimitError, match="queue is full") as full,
    ):
        client.messages.create(**asked())
    assert full.value.type == "rate_limit_error"
    assert int(full.value.response.headers["retry-after"]) > 0


def test_it_gets_thoughts_as_blocks_and_sends_them_back() -> None:
    chat = speaking(qwen3(), lambda prompt: "<think>\nThey greet.\n</think>\n\nHello!")
    with serving() as start:
        address = start(chat.engine, chat=chat, strict_api=True).rstrip("/")
        client = anthropic.Anthropic(base_url=address, api_key="any", max_retries=0)
        thinking = {"type": "enabled", "budget_tokens": 1024}
        reply = client.messages.create(**asked(thinking=thinking))
        thought, said = reply.content
        assert (thought.type, thought.thinking) == ("thinking", "They greet.")
        assert thought.signature
        assert (said.type, said.text) == ("text", "Hello!")
        assert reply.usage.output_tokens_details.thinking_tokens > 0
        history = [*HI, {"role": "assistant", "content": reply.content}, *HI]
        with client.messages.stream(**asked(thinking=thinking, messages=history)) as stream:
            thoughts = [event.thinking for event in stream if event.type == "thinking"]
            final = stream.get_final_message()
        assert "".join(thoughts) == final.content[0].thinking == "They greet."
        assert final.content[0].signature
        assert final.content[1].text == "Hello!"
        plain = client.messages.create(**asked())
        assert [block.type for block in plain.content] == ["text"]
