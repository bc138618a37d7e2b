"""LiteLLM, which others build on."""

from typing import Any

import pytest
from pydantic import BaseModel

from tests.support.waiting import until
from tests.web.api.clients import HI, Server, needed

litellm = needed("litellm")

# Pydantic has a word for some of its types, the first time that each is used.
pytestmark = pytest.mark.filterwarnings("ignore:Items? '.*ReadOnly:UserWarning")


class Person(BaseModel):
    name: str
    age: int


def to(server: Server, key: str = "secret", **asked: Any) -> dict[str, Any]:
    return {
        "model": "openai/any",
        "messages": HI,
        "api_base": server[0],
        "api_key": key,
        "max_retries": 0,
        **asked,
    }


def test_it_gets_a_reply(server: Server) -> None:
    reply = litellm.completion(**to(server, temperature=0, max_tokens=100, seed=3, user="ann"))
    assert reply.choices[0].message.content == "You said: hi"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.completion_tokens == 12
    assert server[1].samplings[0].max_new_tokens == 100


def test_what_it_can_be_set_to_is_taken(server: Server) -> None:
    notes = {"user": "ann", "metadata": {"a": "b"}, "service_tier": "auto", "tools": [], "n": 1}
    controls = {"top_p": 0.5, "presence_penalty": 0.5, "extra_body": {"min_p": 0.1, "top_k": 5}}
    litellm.completion(**to(server, **notes, **controls, max_completion_tokens=20, stop="!"))
    (sampling,) = server[1].samplings
    assert (sampling.top_p, sampling.presence_penalty) == (0.5, 0.5)
    assert (sampling.min_p, sampling.top_k) == (0.1, 5)
    assert (sampling.max_new_tokens, sampling.stop) == (20, ("!",))


def test_it_streams(server: Server) -> None:
    chunks = list(
        litellm.completion(**to(server, stream=True, stream_options={"include_usage": True}))
    )
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "You said: hi"
    assert litellm.stream_chunk_builder(chunks).choices[0].message.content == "You said: hi"
    assert [chunk.usage.completion_tokens for chunk in chunks if "usage" in chunk] == [12]


async def test_it_does_so_without_a_thread(server: Server) -> None:
    reply = await litellm.acompletion(**to(server))
    assert reply.choices[0].message.content == "You said: hi"
    chunks = await litellm.acompletion(**to(server, stream=True))
    said = "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])
    assert said == "You said: hi"


def test_its_own_reply_goes_back_as_it_holds_it(server: Server) -> None:
    first = litellm.completion(**to(server)).choices[0].message
    litellm.completion(**to(server, messages=[*HI, first, *HI]))
    litellm.completion(**to(server, messages=[*HI, first.model_dump(), *HI]))
    for prompt in server[1].prompts[1:]:
        assert "user: hi\0assistant: You said: hi\0user: hi\0" in prompt


def test_it_gets_an_object(server: Server) -> None:
    server[1].script = lambda prompt: '{"name": "Ann", "age": 41}'
    for format in (Person, {"type": "json_object"}):
        reply = litellm.completion(**to(server, response_format=format))
        assert Person.model_validate_json(reply.choices[0].message.content).age == 41
    assert "age" in server[1].samplings[0].json_schema


def test_it_continues_a_text(server: Server) -> None:
    server[1].script = lambda prompt: " upon a time"
    asked = to(server, model="text-completion-openai/any", prompt="Once")
    del asked["messages"]
    assert litellm.text_completion(**asked).choices[0].text == " upon a time"
    chunks = litellm.text_completion(**asked, stream=True)
    assert "".join(chunk.choices[0].text or "" for chunk in chunks) == " upon a time"


def test_it_raises_what_it_knows_for_what_is_refused(server: Server) -> None:
    with pytest.raises(litellm.BadRequestError, match="Temperature must be at most 2"):
        litellm.completion(**to(server, temperature=9))
    with pytest.raises(litellm.ContextWindowExceededError, match="the limit is 1,488"):
        litellm.completion(**to(server, messages=[{"role": "user", "content": "x" * 5000}]))
    with pytest.raises(litellm.AuthenticationError, match="asks for a key"):
        litellm.completion(**to(server, key="wrong"))


def test_it_hears_of_a_full_queue(server: Server) -> None:
    server[1].reading = 600.0
    held = litellm.completion(**to(server, stream=True))
    until(lambda: server[1].active == 1)
    with pytest.raises(litellm.RateLimitError, match="queue is full"):
        litellm.completion(**to(server))
    held.completion_stream.close()


def test_it_gets_thoughts_apart_and_sends_them_back(thoughtful: Server) -> None:
    asked = to(thoughtful, reasoning_effort="low", allowed_openai_params=["reasoning_effort"])
    reply = litellm.completion(**asked)
    message = reply.choices[0].message
    assert (message.reasoning_content, message.content) == ("They say hi.", "You said: hi")
    assert reply.usage.completion_tokens_details.reasoning_tokens > 0
    asked["messages"] = [*HI, message.model_dump(), *HI]
    chunks = list(litellm.completion(**asked, stream=True))
    built = litellm.stream_chunk_builder(chunks).choices[0].message
    assert (built.reasoning_content, built.content) == ("They say hi.", "You said: hi")
    thinking = {"type": "disabled"}
    silent = litellm.completion(**to(thoughtful, extra_body={"thinking": thinking}))
    assert getattr(silent.choices[0].message, "reasoning_content", None) is None
