"""chat.web.api.anthropic.reply: messages in Anthropic's shape, whole and as they grow."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chat.core.chat import Update
from chat.web.api import events as stream
from chat.web.api.anthropic.reply import MessageReply
from prompts import Call
from tests.support.fakes import ScriptedEngine
from tests.support.programs import HI, Programs
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
    [block] = MessageReply("model").whole([update])["content"]
    assert block["input"] == input


async def written(*updates: Update) -> list[dict[str, Any]]:
    async def given() -> AsyncGenerator[tuple[int, Update]]:
        for update in updates:
            yield 0, update

    sent = [part async for part in stream.events(MessageReply("model"), given())]
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
