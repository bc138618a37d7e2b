"""Tools as clients offer, call and answer them, and agents that go round until they are done."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field

from tests.web.api.clients import HI, Server, needed

# Pydantic has a word for some of LiteLLM's types, the first time that each is used.
pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*ReadOnly:UserWarning")

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
FINAL = "It is 22 degrees in Rome, and noon."


def call(name: str, **arguments: Any) -> str:
    written = json.dumps({"name": name, "arguments": arguments})
    return f"<tool_call>\n{written}\n</tool_call>"


def two_calls(prompt: str) -> str:
    """Ask for the weather, then for the time where it is so warm, and then tell of both."""
    results = prompt.rpartition("<|im_start|>user\n")[2]
    if "noon" in results and "12:00" in results:
        return FINAL
    if "22" in results:
        return call("get_time", place="Rome", degrees=22)
    return call("get_weather", city="Rome")


def get_weather(city: str) -> str:
    """Tells the weather in a city."""
    return f"22 degrees in {city}"


def get_time(place: str, degrees: int) -> str:
    """Tells the time."""
    return f"noon, 12:00, at {degrees + 1} in {place}"


TOOLS: dict[str, Callable[..., str]] = {"get_weather": get_weather, "get_time": get_time}
OFFERED: Any = [
    WEATHER,
    {
        "type": "function",
        "function": {
            "name": "get_time",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}, "degrees": {"type": "integer"}},
                "required": ["place", "degrees"],
            },
        },
    },
]


class Person(BaseModel):
    """Someone."""

    name: str
    age: int = Field(ge=0, le=150)


ANN = {"name": "Ann", "age": 41}


@pytest.fixture
def client(tooled: Server) -> openai.OpenAI:
    return openai.OpenAI(base_url=tooled[0], api_key="secret", max_retries=0)


def test_a_loop_of_two_calls_with_openai(client: openai.OpenAI, tooled: Server) -> None:
    tooled[1].script = two_calls
    messages: list[Any] = [*HI]
    for _ in range(3):
        reply = client.chat.completions.create(model="m", messages=messages, tools=OFFERED)
        message = reply.choices[0].message
        messages.append(message)
        for one in message.tool_calls or []:
            assert one.type == "function"
            told = TOOLS[one.function.name](**json.loads(one.function.arguments))
            messages.append({"role": "tool", "tool_call_id": one.id, "content": told})
    assert message.content == FINAL
    assert reply.choices[0].finish_reason == "stop"
    assert "at 23 in Rome" in tooled[1].prompts[-1]


def test_a_loop_of_two_calls_streamed(client: openai.OpenAI, tooled: Server) -> None:
    tooled[1].script = two_calls
    messages: list[Any] = [*HI]
    names = []
    while True:
        with client.chat.completions.stream(model="m", messages=messages, tools=OFFERED) as stream:
            events = [event.type for event in stream]
            message = stream.get_final_completion().choices[0].message
        messages.append(message)
        if not message.tool_calls:
            break
        assert "tool_calls.function.arguments.delta" in events
        assert "tool_calls.function.arguments.done" in events
        for one in message.tool_calls:
            names.append(one.function.name)
            told = TOOLS[one.function.name](**json.loads(one.function.arguments))
            messages.append({"role": "tool", "tool_call_id": one.id, "content": told})
    assert names == ["get_weather", "get_time"]
    assert message.content == FINAL


def test_openai_parses_the_arguments(client: openai.OpenAI, tooled: Server) -> None:
    tooled[1].script = lambda prompt: json.dumps({"name": "Person", "arguments": ANN})
    reply = client.chat.completions.parse(
        model="m",
        messages=HI,
        tools=[openai.pydantic_function_tool(Person)],
        tool_choice={"type": "function", "function": {"name": "Person"}},
    )
    [one] = reply.choices[0].message.tool_calls or []
    assert one.function.parsed_arguments == Person(**ANN)
    assert tooled[1].prompts[0].endswith("<tool_call>\n")


def test_a_model_without_tools_is_told_of_as_clients_know_it(server: Server) -> None:
    client = openai.OpenAI(base_url=server[0], api_key="secret", max_retries=0)
    with pytest.raises(openai.BadRequestError, match="knows no tools") as refused:
        client.chat.completions.create(model="m", messages=HI, tools=OFFERED)
    assert refused.value.param == "tools"


def test_langchain_calls_and_tells(tooled: Server) -> None:
    langchain = needed("langchain_openai")
    messages_of = needed("langchain_core.messages")
    tooled[1].script = two_calls
    model = langchain.ChatOpenAI(
        base_url=tooled[0], api_key="secret", model="m", max_retries=0
    ).bind_tools([get_weather, get_time])
    messages: list[Any] = [messages_of.HumanMessage("hi")]
    while (reply := model.invoke(messages)).tool_calls:
        messages.append(reply)
        for one in reply.tool_calls:
            told = TOOLS[one["name"]](**one["args"])
            messages.append(messages_of.ToolMessage(told, tool_call_id=one["id"]))
    assert reply.content == FINAL
    assert len(tooled[1].prompts) == 3
    tooled[1].script = lambda prompt: call("get_weather", city="Rome")
    *_, last = [chunk for chunk in model.stream("hi") if chunk.tool_call_chunks]
    assert last.tool_call_chunks[0]["args"]


@pytest.mark.parametrize("choice", ["any", "get_weather", "required"])
def test_langchain_can_have_a_call_made(tooled: Server, choice: str) -> None:
    langchain = needed("langchain_openai")
    tooled[1].script = lambda prompt: '{"name": "get_weather", "arguments": {"city": "Rome"}}'
    model = langchain.ChatOpenAI(base_url=tooled[0], api_key="secret", model="m", max_retries=0)
    reply = model.bind_tools([get_weather, get_time], tool_choice=choice).invoke("hi")
    assert [(one["name"], one["args"]) for one in reply.tool_calls] == [
        ("get_weather", {"city": "Rome"})
    ]


def test_langchain_gets_an_object_by_a_call(tooled: Server) -> None:
    langchain = needed("langchain_openai")
    tooled[1].script = lambda prompt: json.dumps({"name": "Person", "arguments": ANN})
    model = langchain.ChatOpenAI(base_url=tooled[0], api_key="secret", model="m", max_retries=0)
    found = model.with_structured_output(Person, method="function_calling").invoke("hi")
    assert found == Person(**ANN)


def test_instructor_gets_an_object_by_a_call(client: openai.OpenAI, tooled: Server) -> None:
    instructor = needed("instructor")
    tooled[1].script = lambda prompt: json.dumps({"name": "Person", "arguments": ANN})
    for mode in (instructor.Mode.TOOLS, instructor.Mode.TOOLS_STRICT):
        found = instructor.from_openai(client, mode=mode).chat.completions.create(
            model="m", messages=HI, response_model=Person
        )
        assert (found.name, found.age) == ("Ann", 41)
        partly = instructor.from_openai(client, mode=mode).chat.completions.create_partial(
            model="m", messages=HI, response_model=Person
        )
        *_, last = partly
        assert (last.name, last.age) == ("Ann", 41)


async def test_an_agent_of_pydantic_ai_goes_round(tooled: Server) -> None:
    pydantic_ai = needed("pydantic_ai")
    models = needed("pydantic_ai.models.openai")
    providers = needed("pydantic_ai.providers.openai")
    tooled[1].script = two_calls
    provider = providers.OpenAIProvider(base_url=tooled[0], api_key="secret")
    model = models.OpenAIChatModel("m", provider=provider)
    agent = pydantic_ai.Agent(model, tools=[get_weather, get_time])
    result = await agent.run("hi")
    assert result.output == FINAL
    assert len(tooled[1].prompts) == 3
    async with agent.run_stream("hi") as stream:
        assert await stream.get_output() == FINAL


async def test_an_agent_of_pydantic_ai_gets_an_object_by_a_call(tooled: Server) -> None:
    pydantic_ai = needed("pydantic_ai")
    models = needed("pydantic_ai.models.openai")
    providers = needed("pydantic_ai.providers.openai")
    tooled[1].script = lambda prompt: json.dumps({"name": "final_result", "arguments": ANN})
    provider = providers.OpenAIProvider(base_url=tooled[0], api_key="secret")
    model = models.OpenAIChatModel("m", provider=provider)
    agent = pydantic_ai.Agent(model, output_type=Person)
    assert (await agent.run("hi")).output == Person(**ANN)
    assert tooled[1].prompts[0].endswith("<tool_call>\n")


def test_litellm_calls_and_tells(tooled: Server) -> None:
    litellm = needed("litellm")
    tooled[1].script = two_calls
    messages: list[Any] = [*HI]
    for _ in range(3):
        reply = litellm.completion(
            model="openai/m",
            messages=messages,
            tools=OFFERED,
            api_base=tooled[0],
            api_key="secret",
            num_retries=0,
        )
        message = reply.choices[0].message
        messages.append(message)
        for one in message.tool_calls or []:
            told = TOOLS[one.function.name](**json.loads(one.function.arguments))
            messages.append({"role": "tool", "tool_call_id": one.id, "content": told})
    assert message.content == FINAL


def test_log_probabilities_come_as_openai_has_them(server: Server) -> None:
    client = openai.OpenAI(base_url=server[0], api_key="secret", max_retries=0)
    server[1].supports = server[1].supports | {"logprobs", "top_logprobs", "logit_bias"}
    server[1].script = lambda prompt: "yes"
    reply = client.chat.completions.create(
        model="m", messages=HI, logprobs=True, top_logprobs=2, logit_bias={"97": -5}
    )
    scores = reply.choices[0].logprobs
    assert scores
    assert scores.content
    assert "".join(one.token for one in scores.content) == reply.choices[0].message.content
    assert [len(one.top_logprobs) for one in scores.content] == [2] * len(scores.content)
    text = client.completions.create(model="m", prompt=[72, 105], logprobs=1)
    figures = text.choices[0].logprobs
    assert figures
    assert figures.tokens
    assert "".join(figures.tokens) == text.choices[0].text
