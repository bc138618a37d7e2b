"""By the API too, calls of several dialects come as calls, and a broken one breaks no other."""

from typing import Any

import pytest

from tests.support import dialects, tools
from tests.support.dialects import HARMONIES, ROME, TWO, parsed
from tests.support.programs import HI, Programs, events

OFFERED = [
    {"type": "function", "function": {"name": "get_weather", "parameters": tools.PLACE}},
    {"type": "function", "function": {"name": "get_time"}},
]


async def message(tokenizer: Any, reply: str) -> tuple[str, list[tuple[str, str]], str]:
    """Return what a reply says and calls, the same streamed or not, and why it ended."""
    chat = tools.speaking(tokenizer, lambda _: reply)
    programs = Programs(chat.engine, chat=chat)
    fields = {"messages": HI, "tools": OFFERED, "max_tokens": 3500}
    answer = await programs.chats(**fields)
    assert answer.status_code == 200
    [choice] = answer.json()["choices"]
    *chunks, done = events(await programs.chats(stream=True, **fields))
    assert done == "[DONE]"
    content, calls = "", list[tuple[str, str]]()
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        content += delta.get("content") or ""
        for call in delta.get("tool_calls", ()):
            if call["index"] == len(calls):
                calls.append((call["function"]["name"], ""))
            name, arguments = calls[-1]
            calls[-1] = name, arguments + call["function"]["arguments"]
    said = choice["message"]
    assert (said["content"] or "") == content
    whole = [one["function"] for one in said.get("tool_calls", ())]
    assert [(one["name"], one["arguments"]) for one in whole] == calls
    return content, calls, choice["finish_reason"]


@pytest.mark.parametrize("family", TWO)
async def test_two_calls_come_of_each_dialect(family: str) -> None:
    said, calls, reason = await message(dialects.FAMILIES[family](), TWO[family])
    assert (said, reason) == ("", "tool_calls")
    assert calls == [("get_weather", ROME), ("get_time", "{}")]


@pytest.mark.parametrize("call", HARMONIES)
async def test_a_call_comes_after_a_thought_and_what_is_said_before_it(call: str) -> None:
    ahead = "<|channel|>analysis<|message|>Rome?<|end|><|start|>assistant"
    ahead += "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    read = await message(dialects.FAMILIES["harmony"](), ahead + call)
    assert read == ("I look.", [("get_weather", ROME)], "tool_calls")


@pytest.mark.parametrize("broken", ['{"name" 1}', '{"name": 1}', "[" * 3000])
async def test_a_broken_call_is_said_after_a_good_one(broken: str) -> None:
    good = f'<tool_call>{{"name": "get_weather", "arguments": {ROME}}}</tool_call>'
    broken = f"<tool_call>{broken}</tool_call>"
    read = await message(parsed(), f"I look. {good}{broken}")
    assert read == (f"I look. {broken}", [("get_weather", ROME)], "tool_calls")
