"""LangChain's `ChatOpenAI`."""

import openai
import pytest
from pydantic import BaseModel

from tests.web.api.clients import Server, needed

needed("langchain_openai")
exceptions = needed("langchain_core.exceptions")

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call
from langchain_openai import ChatOpenAI


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


ANN = '{"name": "Ann", "age": 41}'


def model(server: Server, **chosen: object) -> ChatOpenAI:
    return ChatOpenAI(base_url=server[0], api_key="secret", model="any", max_retries=0, **chosen)


def test_it_gets_a_reply_with_the_number_of_its_tokens(server: Server) -> None:
    reply = model(server, temperature=0, max_tokens=100, seed=1, stop=["!"]).invoke("hi")
    assert reply.content == "You said: hi"
    assert reply.response_metadata["finish_reason"] == "stop"
    assert reply.usage_metadata["output_tokens"] == 12
    (sampling,) = server[1].samplings
    assert (sampling.max_new_tokens, sampling.temperature) == (100, 0)
    assert (sampling.seed, sampling.stop) == (1, ("!",))


def test_what_it_can_be_set_to_is_taken(server: Server) -> None:
    notes = {"reasoning_effort": "low", "verbosity": "low", "service_tier": "auto", "store": False}
    controls = {"top_p": 0.5, "presence_penalty": 0.5, "frequency_penalty": 0.25}
    more = {"extra_body": {"top_k": 5, "chat_template_kwargs": {}}, "metadata": {"a": "b"}}
    asking = model(server, **notes, **controls, **more, model_kwargs={"user": "ann"})
    assert asking.invoke("hi").content == "You said: hi"
    (sampling,) = server[1].samplings
    assert (sampling.top_p, sampling.top_k) == (0.5, 5)
    assert (sampling.presence_penalty, sampling.frequency_penalty) == (0.5, 0.25)


@pytest.mark.parametrize("usage", [False, True])
def test_it_streams(server: Server, usage: bool) -> None:
    chunks = list(model(server, stream_usage=usage).stream("hi"))
    assert "".join(chunk.content for chunk in chunks) == "You said: hi"
    counts = [chunk.usage_metadata["output_tokens"] for chunk in chunks if chunk.usage_metadata]
    assert counts == ([12] if usage else [])


async def test_it_does_so_without_a_thread(server: Server) -> None:
    chat = model(server)
    assert (await chat.ainvoke("hi")).content == "You said: hi"
    assert "".join([chunk.content async for chunk in chat.astream("again")]) == "You said: again"


def test_a_conversation_has_names_and_a_system_prompt_in_the_middle(server: Server) -> None:
    said = [
        HumanMessage("hi", name="Ann"),
        AIMessage("hello", name="Bot"),
        SystemMessage("Rhyme."),
        HumanMessage([{"type": "text", "text": "again"}]),
    ]
    model(server).invoke(said)
    (prompt,) = server[1].prompts
    places = [prompt.find(part) for part in ("user: Ann: hi", "assistant: hello", "again")]
    assert places == sorted(places)
    assert "Rhyme." in prompt
    assert -1 not in places


def test_its_own_reply_and_calls_of_tools_go_back_as_it_holds_them(server: Server) -> None:
    chat = model(server)
    first = chat.invoke("hi")
    called = AIMessage("", tool_calls=[tool_call(name="clock", args={"zone": "x"}, id="c1")])
    result = ToolMessage("noon", tool_call_id="c1")
    chat.invoke([("user", "hi"), first, ("user", "time?"), called, result, ("user", "So?")])
    assert "assistant: You said: hi\0" in server[1].prompts[1]
    assert "clock" in server[1].prompts[1]
    assert "noon" in server[1].prompts[1]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_it_gets_an_object(server: Server, method: str) -> None:
    server[1].script = lambda prompt: ANN
    asking = model(server).with_structured_output(Person, method=method)
    assert asking.invoke("Who, in JSON?") == Person(name="Ann", age=41)
    schema = server[1].samplings[0].json_schema
    assert ("age" in schema) == (method == "json_schema")


def test_a_schema_is_streamed_too(server: Server) -> None:
    server[1].script = lambda prompt: ANN
    asking = model(server).with_structured_output(Person.model_json_schema(), method="json_schema")
    assert list(asking.stream("Who?"))[-1] == {"name": "Ann", "age": 41}


def test_it_raises_what_it_knows_for_what_is_refused(server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match="Temperature must be at most 2"):
        model(server, temperature=9).invoke("hi")
    with pytest.raises(openai.BadRequestError, match="the limit is 1,488") as too_long:
        model(server).invoke("x" * 5000)
    assert too_long.value.code == "context_length_exceeded"
    assert isinstance(too_long.value, exceptions.ContextOverflowError)


def test_it_gets_thoughts_of_responses_apart_and_sends_them_back(thoughtful: Server) -> None:
    asking = model(thoughtful, use_responses_api=True, output_version="responses/v1")
    reply = asking.invoke("hi")
    thought, said = reply.content
    assert thought["content"] == [{"type": "reasoning_text", "text": "They say hi."}]
    assert said["text"] == "You said: hi"
    assert reply.usage_metadata["output_token_details"]["reasoning"] > 0
    again = asking.invoke([HumanMessage("hi"), reply, HumanMessage("again")])
    assert again.content[-1]["text"] == "You said: again"
    chat = model(thoughtful, extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert chat.invoke("hi").usage_metadata["output_token_details"]["reasoning"] == 0
