"""chat.web.api.reply and events: replies in OpenAI's shapes, whole and as they grow."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest

from chat.core.chat import Update
from chat.web.api import events as stream
from chat.web.api.reply import ChatReply
from chat.web.api.shapes import ChatBody
from prompts.marks import tag
from tests.support.fakes import LineFormat, ScriptedEngine, chat_with, echo
from tests.support.programs import HI, Programs, events
from tests.support.thinking import by_letters


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


@pytest.mark.parametrize("ask", [Programs.chats, Programs.completes])
async def test_who_waits_for_a_moment_in_a_stream_gets_no_comments(ask: Callable[..., Any]) -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "five!", reading=1.2))
    with programs.chat.gate.enter():
        asking = asyncio.create_task(ask(programs, stream=True))
        while programs.chat.gate.size < 2:
            await asyncio.sleep(0.01)
    lines = [line for line in (await asking).text.split("\n") if line]
    assert all(line.startswith("data: ") for line in lines)


async def test_after_ten_seconds_of_silence_a_comment_says_that_the_connection_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: now))

    async def updates() -> AsyncGenerator[tuple[int, Update]]:
        nonlocal now
        for seconds, state, text in [
            (0, "waiting", ""),
            (9.9, "waiting", ""),
            (10, "waiting", ""),
            (19.9, "reading", ""),
            (20, "reading", ""),
            (25, "writing", "a"),
            (34.9, "writing", "a"),
            (35, "writing", "a"),
            (45, "writing", "ab"),
            (45, "finished", "ab"),
        ]:
            now = 100.0 + seconds
            yield 0, Update(state, text, place=1)

    kinds = []
    reply = ChatReply(ChatBody(messages=HI), chat_with(ScriptedEngine()), 1)
    async for sent in stream.events(reply, updates()):
        for event in sent.decode().split("\n\n")[:-1]:
            kinds.append(event.split(" ")[1 if event.startswith(":") else 0])
    data = "data:"
    assert kinds == [data, "Waiting:", "Reading", data, "Writing:", data, data, data]


THOUGHT = "They greet me.\n\nSo do I."
REPLY = f"<think>\n{THOUGHT}\n</think>\n\nHello!"


async def test_a_thought_comes_apart_from_the_reply() -> None:
    programs = by_letters(lambda prompt: REPLY)
    answer = (await programs.chats()).json()
    [choice] = answer["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello!",
        "refusal": None,
        "reasoning_content": THOUGHT,
    }
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["completion_tokens_details"] == {"reasoning_tokens": len(f"\n{THOUGHT}\n")}
    assert usage["completion_tokens"] == len(REPLY)


async def test_a_reply_without_a_thought_has_no_place_for_one() -> None:
    programs = by_letters(lambda prompt: "<think>\n\n</think>\n\nHello!")
    answer = (await programs.chats()).json()
    assert "reasoning_content" not in answer["choices"][0]["message"]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] <= 2
    *chunks, _ = events(await programs.chats(stream=True))
    assert not any("reasoning_content" in one["choices"][0]["delta"] for one in chunks)


async def test_a_thought_is_streamed_before_the_reply_and_between_its_parts() -> None:
    reply = "<think>\nOne.\n</think>\n\nHi, <think>two</think>you"
    programs = by_letters(lambda prompt: "", partly=reply)
    options = {"include_usage": True}
    *chunks, last, _ = events(await programs.chats(stream=True, stream_options=options))
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert deltas[0] == {"role": "assistant", "content": ""}
    order = [*dict.fromkeys((*one,) for one in deltas[1:-1])]
    assert order == [("reasoning_content",), ("content",)]
    kinds = ["".join(one) for one in deltas[1:-1]]
    assert [kind for kind, _ in groupby(kinds)] == ["reasoning_content", "content"] * 2
    assert "".join(one.get("reasoning_content", "") for one in deltas) == "One.\n\ntwo"
    assert "".join(one.get("content", "") for one in deltas) == "Hi, you"
    whole = (await programs.chats()).json()
    message = whole["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("One.\n\ntwo", "Hi, you")
    assert last["usage"] == whole["usage"]


async def test_a_reply_that_is_cut_in_mid_thought_says_nothing() -> None:
    programs = by_letters(lambda prompt: REPLY)
    answer = (await programs.chats(max_tokens=20)).json()
    [choice] = answer["choices"]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == ""
    assert choice["message"]["reasoning_content"] == "They greet m"
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 13
    *chunks, _ = events(await programs.chats(max_tokens=20, stream=True))
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert "".join(one.get("reasoning_content", "") for one in deltas) == "They greet m"
    assert not any(one.get("content") for one in deltas)
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


async def test_each_of_several_replies_has_its_own_thought() -> None:
    replies = iter([f"<think>\n{n}\n</think>\n\n{n * 2}" for n in ("a", "b", "c")] * 2)
    programs = by_letters(lambda prompt: next(replies))
    answer = (await programs.chats(n=3)).json()
    said = [one["message"] for one in answer["choices"]]
    assert sorted((one["reasoning_content"], one["content"]) for one in said) == [
        ("a", "aa"),
        ("b", "bb"),
        ("c", "cc"),
    ]
    assert answer["usage"]["completion_tokens_details"] == {"reasoning_tokens": 9}
    thoughts = ["", "", ""]
    for one in events(await programs.chats(n=3, stream=True))[:-1]:
        [choice] = one["choices"]
        thoughts[choice["index"]] += choice["delta"].get("reasoning_content", "")
    assert sorted(thoughts) == ["a", "b", "c"]


async def test_log_probabilities_are_those_of_the_reply() -> None:
    engine = ScriptedEngine(lambda prompt: REPLY)
    engine.supports = frozenset({"logprobs"})
    format = LineFormat()
    format.thoughts = tag("think")
    programs = Programs(engine, format=format)
    [choice] = (await programs.chats(logprobs=True)).json()["choices"]
    assert "".join(one["token"] for one in choice["logprobs"]["content"]).strip() == "Hello!"
    scores = [
        one["choices"][0]["logprobs"]
        for one in events(await programs.chats(logprobs=True, stream=True))[:-1]
    ]
    written = [token["token"] for one in scores if one for token in one["content"]]
    assert "".join(written).strip() == "Hello!"
