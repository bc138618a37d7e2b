"""pydantic-ai's agents."""

import pytest
from pydantic import BaseModel

from tests.web.api.clients import Server, needed

needed("pydantic_ai")

from pydantic_ai import Agent, NativeOutput, PromptedOutput
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.providers.openai import OpenAIProvider


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def model(server: Server) -> OpenAIChatModel:
    return OpenAIChatModel("any", provider=OpenAIProvider(base_url=server[0], api_key="secret"))


async def test_an_agent_runs(model: OpenAIChatModel, server: Server) -> None:
    agent = Agent(model, system_prompt="Rhyme.", model_settings={"temperature": 0, "seed": 1})
    ran = await agent.run("hi")
    assert ran.output == "You said: hi"
    assert ran.usage.output_tokens == 12
    again = await agent.run("again", message_history=ran.all_messages())
    assert again.output == "You said: again"
    assert "user: hi\0assistant: You said: hi\0user: again\0" in server[1].prompts[1]
    assert server[1].prompts[0].startswith("system: Rhyme.\0")


async def test_what_it_can_be_set_to_is_taken(model: OpenAIChatModel, server: Server) -> None:
    chosen: OpenAIChatModelSettings = {
        "max_tokens": 20,
        "top_p": 0.5,
        "stop_sequences": ["!"],
        "frequency_penalty": 0.5,
        "parallel_tool_calls": False,
        "openai_user": "ann",
        "openai_service_tier": "auto",
        "openai_store": False,
        "openai_prompt_cache_key": "a",
        "extra_body": {"top_k": 5},
    }
    await Agent(model, model_settings=chosen).run("hi")
    (sampling,) = server[1].samplings
    assert (sampling.max_new_tokens, sampling.top_p, sampling.top_k) == (20, 0.5, 5)
    assert (sampling.stop, sampling.frequency_penalty) == (("!",), 0.5)


async def test_an_agent_streams(model: OpenAIChatModel) -> None:
    async with Agent(model).run_stream("hi") as run:
        parts = [part async for part in run.stream_text(delta=True)]
    assert "".join(parts) == "You said: hi"


@pytest.mark.parametrize("output", [NativeOutput, PromptedOutput])
async def test_an_agent_gets_an_object(
    model: OpenAIChatModel, server: Server, output: type
) -> None:
    server[1].script = lambda prompt: '{"name": "Ann", "age": 41}'
    agent = Agent(model, output_type=output(Person))
    assert (await agent.run("Who?")).output == Person(name="Ann", age=41)
    async with agent.run_stream("Who?") as run:
        assert await run.get_output() == Person(name="Ann", age=41)


async def test_an_agent_asks_again_for_what_does_not_fit(
    model: OpenAIChatModel, server: Server
) -> None:
    replies = iter(['{"name": "Ann"}', '{"name": "Ann", "age": 41}'])
    server[1].script = lambda prompt: next(replies)
    ran = await Agent(model, output_type=NativeOutput(Person)).run("Who?")
    assert ran.output == Person(name="Ann", age=41)
    assert "age" in server[1].prompts[1]


async def test_a_refusal_is_raised_with_its_status(model: OpenAIChatModel) -> None:
    with pytest.raises(ModelHTTPError, match="Temperature must be at most 2") as refused:
        await Agent(model, model_settings={"temperature": 9}).run("hi")
    assert refused.value.status_code == 400


async def test_an_agent_gets_thoughts_apart_and_sends_them_back(thoughtful: Server) -> None:
    provider = OpenAIProvider(base_url=thoughtful[0], api_key="secret")
    agent = Agent(OpenAIChatModel("any", provider=provider))
    ran = await agent.run("hi")
    assert ran.output == "You said: hi"
    assert [part.content for part in ran.response.parts if part.part_kind == "thinking"] == [
        "They say hi."
    ]
    again = await agent.run("again", message_history=ran.all_messages())
    assert again.output == "You said: again"
    async with agent.run_stream("hi") as run:
        assert await run.get_output() == "You said: hi"
        thoughts = [part.content for part in run.response.parts if part.part_kind == "thinking"]
    assert thoughts == ["They say hi."]
