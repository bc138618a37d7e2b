"""Calls are read in a reply as it grows: nothing is lost, and nothing shown is taken back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prompts import Call
from prompts.base import Read
from prompts.calls import Dialect
from prompts.reading import Reader
from tests.support.dialects import assert_grown

HERMES = Dialect("<tool_call>\n", "\n</tool_call>", ("name", "arguments"))
LLAMA3 = Dialect("", "", ("name", "parameters"))
MISTRAL = Dialect("[TOOL_CALLS] [", "]", ("name", "arguments"))
MISTRAL_SMALL = Dialect("[TOOL_CALLS]", "", None, "[ARGS]")
MISTRAL_ID = Dialect("[TOOL_CALLS]", "", None, "[CALL_ID]zzprobe01[ARGS]")
DEEPSEEK = Dialect("<calls><call>function<sep>", "\n```<end></calls>", None, "\n```json\n")
KIMI = Dialect(
    "<calls><call>functions.", "<end></calls>", None, ":0<args>", "<call>functions.", ":1<args>"
)
APERTUS = Dialect('<calls>[{"', "}]</calls>", None, '": ', '{"')
HARMONY = Dialect(" to=functions.", "<|call|>", None, "<|channel|>commentary json<|message|>")
WRAPPED = Dialect('{"type": "function", "function": ', "}", ("name", "arguments"))
NAMES = ("add", "get.time")


def reads(dialect: Dialect, reply: str, *, parallel: bool = True) -> Read:
    """Return what a reply says in the end, having read each beginning of it before."""
    reader = Reader(dialect, NAMES, parallel=parallel)
    before = Read("")
    for end in range(len(reply) + 1):
        now = reader.read(reply[:end], finished=end == len(reply))
        assert_grown(before, now)
        before = now
    return before


def one(arguments: str = '{"a": 1}', name: str = "add") -> Call:
    return Call(name, arguments)


@pytest.mark.parametrize(
    ("dialect", "reply", "said", "calls"),
    [
        (HERMES, '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>', "", [one()]),
        (HERMES, '<tool_call>{"name":"add","arguments":{"a": 1}}</tool_call>', "", [one()]),
        (HERMES, '<tool_call>\n{"arguments": {"a": 1}, "name": "add"}', "", [one()]),
        (HERMES, '<tool_call>\n{"name": "add", "parameters": {"a": 1}}', "", [one()]),
        (HERMES, '<tool_call>{"name": "add"}][{', "[{", [one("{}")]),
        (HERMES, '<tool_call>\n{"name": "add"}\n</tool_call>', "", [one("{}")]),
        (HERMES, '<tool_call>\n{"name": "add", "arguments": null}', "", [one("{}")]),
        (HERMES, '<tool_call>{"name": "add", "arguments": "{\\"a\\": 1}"}', "", [one()]),
        (HERMES, 'I see.\n<tool_call>\n{"name": "x", "arguments": {}}', "I see.", [one("{}", "x")]),
        (
            HERMES,
            '<tool_call>\n{"name": "add", "arguments": {"a": "}</tool_call>\\""}}\n</tool_call>',
            "",
            [one('{"a": "}</tool_call>\\""}')],
        ),
        (
            HERMES,
            '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>\n'
            '<tool_call>\n{"name": "get.time", "arguments": {}}\n</tool_call>',
            "",
            [one(), one("{}", "get.time")],
        ),
        (
            HERMES,
            'a <tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call> b',
            "a b",
            [one()],
        ),
        (LLAMA3, '{"name": "add", "parameters": {"a": 1}}', "", [one()]),
        (LLAMA3, ' \n{"name": "add", "arguments": {"a": 1}}', "", [one()]),
        (
            LLAMA3,
            '{"name": "add", "parameters": {"a": 1}}; {"name": "get.time", "parameters": {}}',
            "",
            [one(), one("{}", "get.time")],
        ),
        (MISTRAL, '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]', "", [one()]),
        (MISTRAL, '[TOOL_CALLS][{"name":"add","arguments":{"a": 1},"id":"a"}]', "", [one()]),
        (
            MISTRAL,
            '[TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}, '
            '{"name": "get.time", "arguments": {}}]',
            "",
            [one(), one("{}", "get.time")],
        ),
        (MISTRAL_SMALL, '[TOOL_CALLS]add[ARGS]{"a": 1}', "", [one()]),
        (MISTRAL_ID, '[TOOL_CALLS]add[CALL_ID]abcdefghi[ARGS]{"a": 1}', "", [one()]),
        (
            MISTRAL_SMALL,
            'So. [TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]get.time[ARGS]{}',
            "So.",
            [one(), one("{}", "get.time")],
        ),
        (
            DEEPSEEK,
            '<calls><call>function<sep>add\n```json\n{"a": 1}\n```<end></calls>',
            "",
            [one()],
        ),
        (
            WRAPPED,
            '{"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}, '
            '{"type": "function", "function": {"name": "get.time", "arguments": {}}}',
            "",
            [one(), one("{}", "get.time")],
        ),
        (HERMES, '<tool_call>{"name": "add", arguments: {"a": 1}}</tool_call>', "", [one()]),
        (HERMES, '<tool_call>{"name": "add", "name": 5, "arguments": {"a": 1}}', "", [one()]),
        (HERMES, '<tool_call>{"name": "add", "arguments": {"a": 1}, "arguments": {}}', "", [one()]),
        (HARMONY, 'I to=functions.add json<|message|>{"a": 1}<|call|>.', "I.", [one()]),
    ],
)
def test_calls_are_read_and_the_rest_is_said(
    dialect: Dialect, reply: str, said: str, calls: list[Call]
) -> None:
    assert reads(dialect, reply) == Read(said, tuple(calls))


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        (HERMES, "No call here, only {braces} and <b>marks</b>."),
        (HERMES, "The mark is <tool_call>, which I did not use."),
        (HERMES, "<tool_call>\n[1, 2]\n</tool_call>"),
        (HERMES, '<tool_call>\n{"arguments": {"a": 1}}\n</tool_call>'),
        (HERMES, '<tool_call>\n{"name": 5}\n</tool_call>'),
        (HERMES, "It ends with <tool_"),
        (HERMES, '{"name": "add", "arguments": {"a": 1}}'),
        (LLAMA3, '{"name": "Ada", "parameters": {"a": 1}}'),
        (LLAMA3, '{"answer": 5}'),
        (LLAMA3, '{"answer": '),
        (LLAMA3, 'Like so: {"name": "add", "parameters": {"a": 1}}'),
        (MISTRAL, "[TOOL_CALLS] nothing"),
        (MISTRAL_SMALL, "[TOOL_CALLS]no name at all[ARGS]{}"),
        (MISTRAL_SMALL, "[TOOL_CALLS][ARGS]{}"),
        (MISTRAL_SMALL, "[TOOL_CALLS]add and no more"),
        (MISTRAL_SMALL, "[TOOL_CALLS]add[AR"),
    ],
)
def test_what_becomes_no_call_is_said_in_the_end(dialect: Dialect, reply: str) -> None:
    assert reads(dialect, reply) == Read(reply.rstrip())


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        (HERMES, '<tool_call>\n{"name": "add", "arguments": {"a": [1, '),
        (LLAMA3, '{"name": "add", "parameters": {"a": [1, '),
        (MISTRAL_SMALL, '[TOOL_CALLS]add[ARGS]{"a": [1, '),
    ],
)
def test_a_call_that_is_cut_keeps_what_is_there(dialect: Dialect, reply: str) -> None:
    assert reads(dialect, reply) == Read("", (one('{"a": [1,'),))


def test_arguments_come_as_they_are_written() -> None:
    reader = Reader(HERMES, NAMES, parallel=True)
    begun = '<tool_call>\n{"name": "add", "arguments": '
    for written in ("{", '{"a": ', '{"a": "two wor', '{"a": "two words", "b": {}'):
        [call] = reader.read(begun + written, finished=False).calls
        assert call == one(written.strip())


def test_where_one_call_is_wanted_nothing_counts_after_it() -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    reader = Reader(HERMES, NAMES, parallel=False)
    assert not reader.read(call[:-20], finished=False).done
    assert reader.read(call, finished=False) == Read("", (one(),), done=True)
    assert reader.read(f"{call}\n{call} more", finished=True) == Read("", (one(),), done=True)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
WRITE = {
    HERMES: '<tool_call>\n{"name": "add", "arguments": %s}\n</tool_call>\n',
    LLAMA3: '{"name": "add", "parameters": %s}\n',
    MISTRAL_SMALL: "[TOOL_CALLS]add[ARGS]%s",
}


@settings(max_examples=40)
@given(
    dialect=st.sampled_from(list(WRITE)),
    given_=st.lists(st.dictionaries(st.text(max_size=5), VALUES), min_size=1, max_size=3),
    ascii_=st.booleans(),
)
def test_any_arguments_come_through(
    dialect: Dialect, given_: list[dict[str, Any]], ascii_: bool
) -> None:
    reply = ""
    for arguments in given_:
        reply += WRITE[dialect] % json.dumps(arguments, ensure_ascii=ascii_)
    read = reads(dialect, reply)
    assert read.content == ""
    assert [json.loads(call.arguments) for call in read.calls] == given_


PARTS = ["<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", *'[]{}":, \n']
PARTS += ['{"name": "add"', ', "arguments": {"a": 1}', "\\", "add", "word"]
PARTS += ["<calls>", "<call>functions.", ":0<args>", ":5", "<args>", "<end>", "</calls>", '[{"']
PARTS += ["<|channel|>commentary", " to=functions.", "<|message|>", "<|call|>", '{"a": 1}', '": ']
DIALECTS = [HERMES, LLAMA3, MISTRAL, MISTRAL_SMALL, DEEPSEEK, KIMI, APERTUS, HARMONY, WRAPPED]


@given(
    dialect=st.sampled_from(DIALECTS),
    parts=st.lists(st.sampled_from(PARTS), max_size=12),
)
def test_no_reply_breaks_it_or_makes_it_take_something_back(
    dialect: Dialect, parts: list[str]
) -> None:
    read = reads(dialect, "".join(parts))
    if not read.calls:
        assert read.content == "".join(parts).rstrip()
