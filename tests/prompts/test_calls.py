"""Each family's way of writing calls shows in what its own template makes of one."""

from collections.abc import Sequence

import pytest

from prompts import Message
from prompts.calls import Dialect, recognised
from tests.support import dialects, tools


@pytest.mark.parametrize(
    ("family", "dialect"),
    [
        ("hermes", Dialect("<tool_call>\n", "\n</tool_call>", ("name", "arguments"))),
        ("llama3", Dialect("", "", ("name", "parameters"))),
        ("mistral", Dialect("[TOOL_CALLS] [", "]", ("name", "arguments"))),
        ("mistral_small", Dialect("[TOOL_CALLS]", "", None, "[ARGS]")),
    ],
)
def test_a_template_shows_how_its_model_writes_calls(family: str, dialect: Dialect) -> None:
    tokenizer = tools.FAMILIES[family]()
    assert recognised(lambda messages: tools.rendered(tokenizer, messages)) == dialect


CALL = "zzname", {"zzkey": "zzvalue"}


@pytest.mark.parametrize(
    ("written", "dialect"),
    [
        (
            '<|tool_call|>[{"name": "zzname", "arguments": {"zzkey": "zzvalue"}}]<|/tool_call|>',
            Dialect("<|tool_call|>[", "]<|/tool_call|>", ("name", "arguments")),
        ),
        (
            '{"type":"function","function":{"name":"zzname","args":{"zzkey":"zzvalue"}}}',
            Dialect('{"type":"function","function":', "}", ("name", "args")),
        ),
        (
            '<calls><call>function<sep>zzname\n```json\n{"zzkey": "zzvalue"}\n```<end></calls>',
            Dialect("<calls><call>function<sep>", "\n```<end></calls>", None, "\n```json\n"),
        ),
        ("<function=zzname>\n<parameter=zzkey>\nzzvalue\n</parameter>\n</function>", None),
        ('[zzname(zzkey="zzvalue")]', None),
        ('zzname {"zzkey": "zzvalue"}', None),
        ('["zzname", {"zzkey": "zzvalue"}]', None),
        ("", None),
    ],
)
def test_what_is_no_name_and_an_object_is_not_known(written: str, dialect: Dialect | None) -> None:
    def render(messages: Sequence[Message]) -> str:
        last = messages[-1]
        return f"<user>Zzsaid<assistant>{written if last.calls else last.content}<end>"

    assert recognised(render) == dialect


@pytest.mark.parametrize(
    ("family", "again", "second", "name_end", "ends"),
    [
        (
            "kimi",
            "<|tool_call_begin|>functions.",
            ":1<|tool_call_argument_begin|>",
            "<|tool_call_argument_begin|>",
            ("<|tool_call_end|>", "<|tool_calls_section_end|>"),
        ),
        ("apertus", '{"', "", '":', ("}", "<|tools_suffix|>")),
        ("functionary", "", "", ">", ("</function>", "<|eom_id|>")),
        (
            "nested",
            "<|call|>function<|sep|>",
            "",
            "```json",
            ("```", "<|end_call|>", "<|end_calls|>"),
        ),
        ("objects", "<|call|>", "", "", ("<|end_call|>", "<|end_calls|>")),
        ("harmony", "", "", "<|message|>", ("<|call|>",)),
    ],
)
def test_a_second_call_shows_what_is_of_each_and_what_of_all(
    family: str, again: str, second: str, name_end: str, ends: tuple[str, ...]
) -> None:
    tokenizer = dialects.FAMILIES[family]()
    dialect = recognised(lambda messages: tools.rendered(tokenizer, messages))
    assert dialect
    assert (dialect.again, dialect.second) == (again, second)
    assert (dialect.name_end, dialect.ends) == (name_end, ends)


def test_marks_of_calls_are_whole_where_those_of_replies_begin_and_end_alike() -> None:
    def render(messages: Sequence[Message]) -> str:
        call = (
            '<|START_ACTION|>[{"name": "zzname", "arguments": {"zzkey": "zzvalue"}}]<|END_ACTION|>'
        )
        said = "<|START_TEXT|>Zzsaid<|END_TEXT|>"
        return f"<|USER|>Zzsaid<|BOT|>{call if messages[-1].calls else said}<|END|>"

    keys = "name", "arguments"
    assert recognised(render) == Dialect("<|START_ACTION|>[", "]<|END_ACTION|>", keys)


def test_a_call_that_begins_with_an_id_is_not_known() -> None:
    def render(messages: Sequence[Message]) -> str:
        call = '<call>zzprobe01<name>zzname<arguments>{"zzkey": "zzvalue"}'
        return f"Zzsaid:{call if messages[-1].calls else messages[-1].content}"

    assert recognised(render) is None


def test_a_template_that_fails_shows_nothing() -> None:
    def render(messages: Sequence[Message]) -> str:
        raise TypeError("no calls here")

    assert recognised(render) is None
