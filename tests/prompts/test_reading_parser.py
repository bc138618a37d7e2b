"""What transformers' parser has read of a reply stays, whatever comes after it."""

import functools
from typing import Any

import pytest

from prompts import Call, Tooled
from prompts.base import Read
from tests.support import tools
from tests.support.dialects import parsed

ROME = '{"city": "Rome"}'
WEATHER = Call("get_weather", ROME)
CALL = f'<tool_call>{{"name": "get_weather", "arguments": {ROME}}}</tool_call>'


@functools.cache
def offering(open_pattern: str = "<tool_call>", close_pattern: str = "</tool_call>") -> Tooled:
    tokenizer = parsed(open_pattern, close_pattern)
    return Tooled(tokenizer).offering([tools.WEATHER, tools.TIME])


def reads(format: Tooled, reply: str) -> Read:
    """Return what a reply says in the end, having read each beginning of it before."""
    before = Read("")
    for end in range(len(reply) + 1):
        now = format.read(reply[:end], finished=end == len(reply))
        assert now.content.startswith(before.content)
        assert now.calls[: len(before.calls)] == before.calls
        before = now
    return before


BROKEN = [
    '<tool_call>{"name" 1}</tool_call>',
    '<tool_call>{"name" 1}</tool_call> and more',
    '<tool_call>{"name": 1}</tool_call>',
    '<tool_call>{"name": ""}</tool_call>',
    '<tool_call>{"name": null}</tool_call>',
    '<tool_call>{"name": ["get_weather"]}</tool_call>',
    '<tool_call>{"arguments": {}}</tool_call>',
    "<tool_call>5</tool_call>",
    '<tool_call>{"name": "get_weather",',
    f"<tool_call>{{}}</tool_call>{CALL}",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_call_in_the_end_is_said(broken: str) -> None:
    assert reads(offering(), broken) == Read(broken)
    assert reads(offering(), f"I look. {broken}") == Read(f"I look. {broken}")


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("between", ["", " then ", "<", "\n\n<tool"])
@pytest.mark.parametrize(
    "patterns", [(), (r"<tool_call>\s*", r"</tool_call>\s*"), (r"\s*<tool_call>", "</tool_call>")]
)
def test_a_call_before_it_stays(broken: str, between: str, patterns: Any) -> None:
    said = f"{between}{broken}"
    for ahead, calls in ("I look. ", (WEATHER,)), (CALL, (WEATHER, WEATHER)):
        read = reads(offering(*patterns), f"{ahead}{CALL}{said}")
        assert read.calls == calls
        # White space around a call may be a part of its marks.
        assert "".join(read.content.split()) == "".join((ahead.removesuffix(CALL) + said).split())


@pytest.mark.parametrize("deep", ["[" * 3000, '{"name":' * 100_000])
@pytest.mark.parametrize("end", ["", "</tool_call>"])
def test_what_is_nested_without_end_is_said(deep: str, end: str) -> None:
    reply = f"<tool_call>{deep}{end}"
    assert offering().read(reply, finished=False).calls == ()
    assert offering().read(reply, finished=True) == Read(reply)
    assert offering().read(CALL + reply, finished=True) == Read(reply, (WEATHER,))
