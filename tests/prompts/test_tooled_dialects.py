"""Calls are read as models write them, which is not always as their templates write them again."""

import functools

import pytest

from prompts import Call, Message, PromptError, Tooled, visible
from prompts.base import Read
from prompts.thoughts import parts
from tests.support import tools
from tests.support.dialects import FAMILIES, HARMONIES, ROME, TWO, assert_grown

HI = Message("user", "What is the weather in Rome?")
WEATHER, TIME = Call("get_weather", ROME), Call("get_time", "{}")


@functools.cache
def offering(family: str) -> Tooled:
    return Tooled(FAMILIES[family]()).offering([tools.WEATHER, tools.TIME])


def reads(format: Tooled, reply: str) -> Read:
    """Return what a reply says in the end, having read each beginning of it before."""
    before = Read("")
    for end in range(len(reply) + 1):
        finished = end == len(reply)
        found = parts(reply[:end], format.thoughts, finished=finished)
        said = "".join(reply[start:stop] for start, stop in found.said)
        now = format.read(said, finished=finished)
        assert_grown(before, now)
        before = now
        if now.done:
            break
    return before


@pytest.mark.parametrize("family", TWO)
def test_two_calls_are_read_and_no_mark_of_them_is_said(family: str) -> None:
    assert reads(offering(family), TWO[family]) == Read("", (WEATHER, TIME))
    read = reads(offering(family), f"I look.\n{TWO[family]}\nSo.")
    assert (read.content.split(), read.calls) == (["I", "look.", "So."], (WEATHER, TIME))


@pytest.mark.parametrize("family", TWO)
def test_two_calls_are_read_as_the_template_writes_them(family: str) -> None:
    format = offering(family)
    called = Message("assistant", "", (WEATHER, TIME))
    prompt = "".join(map(visible, format.pieces([HI, called, HI])))
    written = prompt.partition("assistant\n")[2].partition("<|im_")[0]
    assert reads(format, written) == Read("", (WEATHER, TIME))


@pytest.mark.parametrize("family", TWO)
def test_marks_that_are_missing_after_the_last_call_are_not_missed(family: str) -> None:
    written = TWO[family]
    for end in range(written.rindex("{}") + 2, len(written)):
        read = offering(family).read(written[:end], finished=False)
        assert read == Read("", (WEATHER, TIME))
    # One that ends the turn is not in the reply.
    whole = written[: written.rindex("<")] if family != "functionary" else written
    assert reads(offering(family), whole) == Read("", (WEATHER, TIME))


@pytest.mark.parametrize("family", TWO)
def test_of_calls_that_may_not_be_several_the_first_is_read(family: str) -> None:
    format = Tooled(FAMILIES[family]()).offering([tools.WEATHER, tools.TIME], parallel=False)
    assert reads(format, TWO[family]) == Read("", (WEATHER,), done=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_call_that_has_to_be_made_is_read_after_what_the_prompt_begins(family: str) -> None:
    format = offering(family)
    while True:
        format, ties = format.calling(["get_weather"])
        if "choices" not in ties:
            break
    written = ROME if family != "objects" else f'{{"name": "get_weather", "arguments": {ROME}}}'
    assert format.read(written, finished=True).calls == (WEATHER,)


def test_a_name_that_a_count_follows_may_be_of_several_parts() -> None:
    begin, end = "<|tool_calls_section_begin|><|tool_call_begin|>functions.", "<|tool_call_end|>"
    for count in (":7", ""):
        written = f"{begin}a:b.c{count}<|tool_call_argument_begin|>{{}}{end}"
        assert reads(offering("kimi"), written).calls == (Call("a:b.c", "{}"),)


THOUGHT = "<|channel|>analysis<|message|>Rome is far.<|end|><|start|>assistant"
PREAMBLE = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"


@pytest.mark.parametrize("call", HARMONIES)
@pytest.mark.parametrize(
    ("ahead", "said"),
    [("", ""), (THOUGHT, ""), (PREAMBLE, "I look."), (THOUGHT + PREAMBLE, "I look.")],
)
def test_a_call_to_a_function_in_a_channel_is_read(ahead: str, said: str, call: str) -> None:
    read = reads(offering("harmony"), ahead + call)
    assert (read.content, read.calls) == (said, (WEATHER,))


@pytest.mark.parametrize(
    "said",
    [
        "It is written to=functions.get_weather and then some.\nNot more.",
        "Is it to=functions. that I look for?",
        "from to to",
        "<|channel|>commentary of mine",
    ],
)
def test_what_calls_no_function_in_a_channel_is_said(said: str) -> None:
    format = offering("harmony")
    assert reads(format, f"<|channel|>final<|message|>{said}") == Read(said)


def test_the_function_is_that_of_the_message_with_the_arguments() -> None:
    said = "See to=functions.get_time now.<|end|><|start|>assistant "
    call = f"to=functions.get_weather<|channel|>commentary json<|message|>{ROME}<|call|>"
    assert reads(offering("harmony"), said + call).calls == (WEATHER,)


def test_a_template_that_takes_no_text_beside_a_thought_has_it_at_the_end_of_that() -> None:
    format = offering("harmony")
    both = (WEATHER._replace(id="call1234a"), TIME._replace(id="call1234b"))
    said = Message("assistant", "I look it up.", both, thought="Let me see.")
    sunny = Message("tool", "sunny", name="get_weather", call_id="call1234a")
    prompt = "".join(map(visible, format.pieces([HI, said, sunny])))
    thought = "<|channel|>analysis<|message|>Let me see.\n\nI look it up.<|end|>"
    assert prompt.count(thought) == prompt.count("Let me see.") == 1


def test_a_template_that_leaves_out_later_calls_is_told_of_them_one_by_one() -> None:
    format = offering("harmony")
    first, second = WEATHER._replace(id="call1234a"), TIME._replace(id="call1234b")
    messages = [
        HI,
        Message("assistant", "", (first, second)),
        Message("tool", "sunny", name="get_weather", call_id="call1234a"),
        Message("tool", "noon", name="get_time", call_id="call1234b"),
    ]
    prompt = "".join(map(visible, format.pieces(messages)))
    places = [prompt.index(f" to=functions.{name}<") for name in ("get_weather", "get_time")]
    assert places[0] < prompt.index('"sunny"') < places[1] < prompt.index('"noon"')


def test_an_id_that_only_a_name_comes_before_is_not_known() -> None:
    tokenizer = FAMILIES["kimi"]()
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "+ ':' + loop.index0 | string", "+ call.id"
    )
    with pytest.raises(PromptError, match="knows no tools"):
        Tooled(tokenizer)
