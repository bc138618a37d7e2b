"""chat.web.api.anthropic.reply: messages in Anthropic's shape, whole and as they grow."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chat.core.chat import Update
from chat.web.api import events as stream
from chat.web.api.anthropic.reply import MessageReply
from prompts import Call
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs
from tests.support.thinking import EFFORTS, by_letters, thinker
from tests.web.api.anthropic.support import (
    ROME,
    TIME,
    WEATHER,
    ask,
    call,
    events,
    knowing_tools,
    put_together,
)

PROMPT = len("system: You are a helpful assistant.|user: hi|assistant: ")


async def both(programs: Programs, **fields: Any) -> dict[str, Any]:
    """Return a message, which is the same as a whole and streamed, but for its ids."""
    found = []
    for message in (
        (await ask(programs, **fields)).json(),
        put_together(events(await ask(programs, stream=True, **fields))),
    ):
        assert message.pop("id").startswith("msg_")
        ids = [one.pop("id") for one in message["content"] if one["type"] == "tool_use"]
        assert all(id.startswith("toolu_") for id in ids)
        assert len(set(ids)) == len(ids)
        found.append(message)
    assert found[0] == found[1]
    return found[0]


async def test_a_message_has_anthropics_shape() -> None:
    assert await both(Programs(ScriptedEngine()), model="claude") == {
        "type": "message",
        "role": "assistant",
        "model": "model",
        "content": [{"type": "text", "text": "You said: hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": PROMPT,
            "output_tokens": 12,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


async def test_a_streamed_message_comes_in_the_events_of_its_blocks() -> None:
    engine = ScriptedEngine(lambda prompt: "llo", partly="He")
    start, *rest = events(await ask(Programs(engine), stream=True))
    assert start["type"] == "message_start"
    assert start["message"]["usage"]["input_tokens"] == PROMPT
    assert start["message"]["usage"]["output_tokens"] == 0
    kinds = [event["type"] for event in rest]
    assert kinds[0] == "content_block_start"
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[1:-3]) == {"content_block_delta"}
    assert [event["delta"]["text"] for event in rest[1:-3]] == ["H", "e", "llo"]


@pytest.mark.parametrize("sequences", [["said"], ["never", "said", "hi"], "said"])
async def test_it_says_which_stop_sequence_ended_a_message(sequences: Any) -> None:
    message = await both(Programs(ScriptedEngine()), stop_sequences=sequences)
    assert message["content"] == [{"type": "text", "text": "You"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "said")


async def test_a_message_that_is_cut_off_says_so() -> None:
    message = await both(Programs(ScriptedEngine()), max_tokens=3)
    assert message["content"] == [{"type": "text", "text": "You"}]
    assert (message["stop_reason"], message["stop_sequence"]) == ("max_tokens", None)


async def test_a_reply_of_nothing_has_a_block_of_nothing() -> None:
    message = await both(Programs(ScriptedEngine(lambda prompt: "")))
    assert message["content"] == [{"type": "text", "text": ""}]
    assert message["stop_reason"] == "end_turn"


async def test_a_last_message_of_the_assistants_is_continued_and_not_repeated() -> None:
    programs = Programs(ScriptedEngine(lambda prompt: "llo there"))
    begun = {"role": "assistant", "content": [{"type": "text", "text": "He"}]}
    message = await both(programs, messages=[*HI, begun])
    assert message["content"] == [{"type": "text", "text": "llo there"}]
    assert programs.engine.prompts[0].endswith("assistant: He")


async def test_calls_are_blocks_with_their_input() -> None:
    said = f"Let me look.\n{call('get_weather', ROME)}\n{call('get_time', {})}"
    message = await both(knowing_tools(lambda prompt: said), tools=[WEATHER, TIME])
    assert message["content"] == [
        {"type": "text", "text": "Let me look."},
        {"type": "tool_use", "name": "get_weather", "input": ROME},
        {"type": "tool_use", "name": "get_time", "input": {}},
    ]
    assert message["stop_reason"] == "tool_use"


async def test_a_call_alone_has_no_text_before_it() -> None:
    message = await both(knowing_tools(lambda prompt: call("get_time", {})), tools=[TIME])
    assert [block["type"] for block in message["content"]] == ["tool_use"]


async def test_a_call_that_the_limit_cuts_has_an_input_of_nothing() -> None:
    programs = knowing_tools(lambda prompt: call("get_weather", {"city": "x" * 500}))
    answer = await ask(programs, tools=[WEATHER], max_tokens=40)
    message = answer.json()
    [block] = message["content"]
    assert (block["name"], block["input"]) == ("get_weather", {})
    assert message["stop_reason"] == "max_tokens"
    kinds = [
        e["type"] for e in events(await ask(programs, tools=[WEATHER], max_tokens=40, stream=True))
    ]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


@pytest.mark.parametrize(
    ("window", "reason"), [(12, "model_context_window_exceeded"), (13, "max_tokens")]
)
async def test_a_reply_that_fills_the_window_says_so(window: int, reason: str) -> None:
    update = Update("length", "abc", tokens=3, prompt_tokens=9)
    assert MessageReply("model", window).whole([update])["stop_reason"] == reason


@pytest.mark.parametrize(
    ("arguments", "input"),
    [
        ('{"a": {"b": [1, null]}}', {"a": {"b": [1, None]}}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ("", {}),
        ('{"a": 1', {}),
        ("[1]", {}),
        ("5", {}),
        ('{"a": NaN}', {}),
        ('{"a": 1e999}', {}),
        ("[" * 100_000, {}),
    ],
)
def test_an_input_is_always_an_object_that_json_can_write(arguments: str, input: Any) -> None:
    update = Update("finished", calls=(Call("add", arguments),))
    [block] = MessageReply("model", 100).whole([update])["content"]
    assert block["input"] == input


async def written(*updates: Update) -> list[dict[str, Any]]:
    async def given() -> AsyncGenerator[tuple[int, Update]]:
        for update in updates:
            yield 0, update

    sent = [part async for part in stream.events(MessageReply("model", 100), given())]
    answer: Any = type("Answer", (), {"status_code": 200, "text": b"".join(sent).decode()})
    answer.headers = {"content-type": "text/event-stream; charset=utf-8"}
    return events(answer)


async def test_nothing_is_sent_before_the_length_of_the_prompt_is_known() -> None:
    found = await written(
        Update("waiting", place=1),
        Update("reading", prompt_tokens=7),
        Update("finished", "a", prompt_tokens=7),
    )
    assert found[0]["message"]["usage"]["input_tokens"] == 7


async def test_what_is_said_after_a_call_comes_after_all_of_them() -> None:
    add, sub = Call("add", '{"a": 1}'), Call("sub", "{}")
    found = await written(
        Update("writing", "One."),
        Update("writing", "One. Two.", (add._replace(arguments='{"a"'),)),
        Update("writing", "One. Two. Three", (add, sub._replace(arguments=""))),
        Update("finished", "One. Two. Three.", (add, sub)),
    )
    content = put_together(found)["content"]
    assert [block.get("text") or block["input"] for block in content] == [
        "One. Two.",
        {"a": 1},
        {},
        " Three.",
    ]


REPLY = "<think>\nWho is it?\n</think>\n\nHello!"
ASKED: list[dict[str, Any]] = [
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"thinking": {"type": "adaptive"}},
    {"thinking": "on"},
    {"thinking": "auto"},
    {"thinking_budget": 100},
    {"enable_thinking": True},
]


def unsigned(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the blocks of a message, of which each thought had a signature."""
    for block in message["content"]:
        if block["type"] == "thinking":
            assert block.pop("signature")
    return list(message["content"])


@pytest.mark.parametrize("fields", ASKED, ids=json.dumps)
async def test_a_thought_is_a_block_for_whoever_asks_for_it(fields: Any) -> None:
    programs = by_letters(lambda prompt: REPLY)
    for message in (
        (await ask(programs, **fields)).json(),
        put_together(events(await ask(programs, **fields, stream=True))),
    ):
        assert unsigned(message) == [
            {"type": "thinking", "thinking": "Who is it?"},
            {"type": "text", "text": "Hello!"},
        ]
        thought = message["usage"]["output_tokens_details"]["thinking_tokens"]
        assert thought == len("\nWho is it?\n")


@pytest.mark.parametrize(
    "fields", [{}, {"thinking": {"type": "disabled"}}, {"thinking": "off"}], ids=json.dumps
)
async def test_whoever_does_not_ask_gets_none(fields: Any) -> None:
    programs = by_letters(lambda prompt: REPLY)
    message = await both(programs, **fields)
    assert message["content"] == [{"type": "text", "text": "Hello!"}]
    assert [one.thinking for one in programs.engine.samplings] == ["off" if fields else "auto"] * 2


async def test_a_model_that_does_not_think_answers_without_a_thought() -> None:
    for fields in ASKED[:2]:
        message = await both(Programs(ScriptedEngine(), strict_api=True), **fields)
        assert message["content"] == [{"type": "text", "text": "You said: hi"}]


async def test_a_thought_is_streamed_as_it_grows() -> None:
    programs = by_letters(lambda prompt: "", partly="<think>\nHm.\n</think>\n\nHi")
    found = events(await ask(programs, **ASKED[0], stream=True))
    steps = [one["delta"] for one in found if one["type"] == "content_block_delta"]
    assert [one["type"] for one in steps] == [
        *["thinking_delta"] * 3,
        "signature_delta",
        *["text_delta"] * 2,
    ]
    begun = [one["content_block"] for one in found if one["type"] == "content_block_start"]
    assert begun == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
    ]


async def test_each_of_several_thoughts_is_a_block() -> None:
    reply = "<think>\nOne.\n</think>\n\nHi, <think>two</think>you"
    programs = by_letters(lambda prompt: "", partly=reply)
    message = put_together(events(await ask(programs, **ASKED[0], stream=True)))
    assert [one.get("thinking") or one.get("text") for one in unsigned(message)] == [
        "One.",
        "Hi,",
        "two",
        " you",
    ]


async def test_a_message_that_is_cut_in_mid_thought_has_a_text_too() -> None:
    programs = by_letters(lambda prompt: REPLY)
    fields = {**ASKED[0], "max_tokens": 12}
    for message in (
        (await ask(programs, **fields)).json(),
        put_together(events(await ask(programs, **fields, stream=True))),
    ):
        assert message["stop_reason"] == "max_tokens"
        blocks = unsigned(message)
        assert blocks == [{"type": "thinking", "thinking": "Who"}, {"type": "text", "text": ""}]


async def test_a_thought_and_then_a_call_go_on_with_its_result() -> None:
    written = call("get_weather", ROME)
    programs = thinker(lambda prompt: f"<think>\nRome, then.\n</think>\n\n{written}")
    fields = {**ASKED[0], "tools": [WEATHER]}
    message = (await ask(programs, **fields)).json()
    assert [block["type"] for block in message["content"]] == ["thinking", "tool_use"]
    redacted = {"type": "redacted_thinking", "data": "abc"}
    used = {"role": "assistant", "content": [redacted, *message["content"]]}
    result = {"type": "tool_result", "tool_use_id": message["content"][1]["id"], "content": "sun"}
    said = [*HI, used, {"role": "user", "content": [result]}]
    for signature in (message["content"][0]["signature"], "of somebody else's", ""):
        message["content"][0]["signature"] = signature
        answer = await ask(programs, **fields, messages=said)
        assert answer.status_code == 200, answer.text
        expected = f"<think>\nRome, then.\n</think>\n\n{written}<|im_end|>"
        assert expected in programs.engine.prompts[-1]
    counted = await programs.post("/messages/count_tokens", {**fields, "messages": said})
    count = counted.json()["input_tokens"]
    assert count == answer.json()["usage"]["input_tokens"]


async def test_effort_is_told_where_the_template_has_a_name_for_it() -> None:
    programs = thinker(lambda prompt: "ok", EFFORTS)
    await ask(programs, output_config={"effort": "high"})
    assert programs.engine.prompts[0].startswith("<|im_start|>system\nReasoning: high<|im_end|>")
