"""Prompts for models that think are those of their templates, and nobody forges a thought."""

import functools
import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompts
from prompts import Message, visible
from prompts.encoder import Encoder
from prompts.formats.chatml import ChatML
from prompts.formats.template import Template
from tests.support import thinking, tiny
from tests.support.examples import some
from tests.support.thinkers import FAMILIES, entry, tokenizer

MODES = {"auto": {}, "on": {"enable_thinking": True}, "off": {"enable_thinking": False}}
PAST = ["said", "<think>\nthought\n</think>\n\nsaid", "<think>\n\n</think>\n\nsaid", "</think>a"]


def conversation(*replies: tuple[str, str], system: bool = True) -> list[Message]:
    said = [Message("system", "Be brief.")] if system else []
    for number, (content, thought) in enumerate(replies):
        said += [
            Message("user", f"Ask {number}"),
            Message("assistant", content, thought=thought),
        ]
    return [*said, Message("user", "Last")]


def theirs(family: str, messages: list[Message], mode: str = "auto") -> tuple[str, list[int]]:
    """Return what transformers makes of a conversation."""
    made = tokenizer(family)
    entries = [entry(family, one.role, one.content, one.thought) for one in messages]
    text = made.apply_chat_template(
        entries, tokenize=False, add_generation_prompt=True, **MODES[mode]
    )
    return str(text), made(text, add_special_tokens=False)["input_ids"]


@functools.cache
def form(family: str) -> Template:
    return Template(tokenizer(family))


def ours(family: str, messages: list[Message], mode: Any = "auto") -> tuple[str, list[int]]:
    made = tokenizer(family)
    pieces = form(family).asking(mode).pieces(messages)
    return "".join(map(visible, pieces)), Encoder(made).encode(pieces)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "messages",
    [
        conversation(system=False),
        conversation(("said", "thought"), ("more", "")),
        conversation(("said", "one\n\ntwo"), ("more", "three"), system=False),
        conversation(("", "stopped in mid-thought")),
    ],
)
def test_with_thoughts_apart_a_prompt_is_the_templates_own(
    family: str, mode: str, messages: list[Message]
) -> None:
    assert ours(family, messages, mode) == theirs(family, messages, mode)


@pytest.mark.parametrize("family", ["qwen3", "r1", "glm"])
@pytest.mark.parametrize("past", list(itertools.product(PAST, repeat=2)))
def test_with_thoughts_in_the_text_it_is_too(family: str, past: tuple[str, str]) -> None:
    messages = conversation(*((one, "") for one in past))
    text, ids = theirs(family, messages)
    made, found = ours(family, messages)
    assert made == text
    if family != "glm":  # it leaves what people wrote as it is, and that is no mark
        assert found == ids


MODES_OF = {
    "qwen3": (None, None, False),
    "r1": (True, True, False),
    "glm": (None, None, False),
    "magistral": (None, None, False),
    "harmony": (None, None, None),
    "cohere": (None, None, None),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_thought_is_switched_off_by_the_template_or_by_an_empty_one(family: str) -> None:
    format = form(family)
    assert format.thoughts
    found = []
    for mode in MODES:
        begun = format.asking(mode).begun(conversation())  # type: ignore[arg-type]
        text = "".join(map(visible, begun.pieces)).rpartition("Last")[2]
        found.append(format.thoughts.left_open(text))
        assert begun.thinks is (mode != "off")
        assert bool(begun.lead) is (found[-1] is True)
    assert tuple(found) == MODES_OF[family]
    begun = format.asking("off").begun(conversation())
    text = "".join(map(visible, begun.pieces))
    assert text.endswith(("</think>\n\n", "</think>", "[/THINK]", "final<|message|>", "RESPONSE|>"))


#: One that shows its last thought, ends it in its own way and has a switch of its own.
SWITCHED = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.reasoning_content %}
        {{- '<think>' + message.reasoning_content + '</think>\\n' }}
    {%- endif %}
    {{- message.content + '<|im_end|>\\n' }}
{%- endfor %}
{{- '<|im_start|>assistant\\n' }}
{%- set chosen = SWITCH | default('') %}
{%- if chosen == 'ON' %}{{- '<think>' }}{%- elif chosen == 'OFF' %}{{- '</think>' }}{%- endif %}
"""


@pytest.mark.parametrize(
    ("name", "on", "off"),
    [
        ("thinking_mode", "enabled", "disabled"),
        ("reasoning_effort", "high", "none"),
        ("reasoning_effort", "high", "no_think"),
    ],
)
def test_a_template_is_told_by_the_name_that_it_has(name: str, on: str, off: str) -> None:
    made = tokenizer("qwen3")
    made.chat_template = SWITCHED.replace("SWITCH", name).replace("ON", on).replace("OFF", off)
    format, asked = Template(made), conversation()
    assert format.switches
    assert format.asking("auto").begun(asked).thinks
    assert format.asking("on").begun(asked).lead == "<think>"
    off_prompt = format.asking("off").begun(asked)
    assert not off_prompt.thinks
    assert "".join(map(visible, off_prompt.pieces)).endswith("assistant\n</think>")


def test_a_thought_that_the_templates_switch_leaves_open_is_ended() -> None:
    made = tokenizer("qwen3")
    told = "{{- 'Thinking: ' + (enable_thinking | default('')) | string }}"
    made.chat_template = told + thinking.ALWAYS
    format = Template(made)
    assert format.switches
    text = "".join(map(visible, format.asking("off").begun(conversation()).pieces))
    assert text.startswith("Thinking: False")
    assert text.endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_thought_ends_as_the_template_ends_it() -> None:
    made = tokenizer("qwen3")
    made.chat_template = SWITCHED
    format, begun = Template(made), Message("assistant", "said", thought="thought")
    assert format.thoughts
    assert format.thoughts.closing == "</think>\n"
    text = "".join(map(visible, format.begun(conversation(), begun).pieces))
    assert text.endswith("<|im_start|>assistant\n<think>thought</think>\nsaid")


def test_what_a_template_has_no_name_for_changes_nothing() -> None:
    format = Template(tokenizer("harmony"))
    plain = format.pieces(conversation())
    assert (
        format.asking("auto", {"no_such": 1, "messages": [], "bos_token": "x"}).pieces(
            conversation()
        )
        == plain
    )
    high = format.asking("auto", {"reasoning_effort": "high"}).pieces(conversation())
    assert "Reasoning: high" in "".join(map(visible, high))


@pytest.mark.parametrize("family", FAMILIES)
def test_no_option_becomes_a_control_token(family: str) -> None:
    made = tokenizer(family)
    format, encoder = Template(made), Encoder(made)
    mark = FAMILIES[family][1][0]
    option = {"reasoning_effort": f"high{mark}", "enable_thinking": mark}
    forged = encoder.encode(format.asking("auto", option).pieces(conversation()))
    id = made.convert_tokens_to_ids(mark)
    usual = max(
        encoder.encode(format.asking(mode).pieces(conversation())).count(id)  # type: ignore[arg-type]
        for mode in MODES
    )
    assert forged.count(id) <= usual


WRITTEN = st.lists(
    st.sampled_from(
        [
            *sorted({token for _, tokens, _ in FAMILIES.values() for token in tokens}),
            "<|im_end|>",
            "<|channel|>analysis<|message|>",
            "think",
            "</",
            "\n",
            " ",
            "a",
        ]
    ),
    max_size=6,
).map("".join)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=some(10))
@given(said=WRITTEN, thought=WRITTEN, asked=WRITTEN)
def test_nothing_that_people_or_models_wrote_becomes_a_mark(
    family: str, said: str, thought: str, asked: str
) -> None:
    made = tokenizer(family)
    format, encoder = Template(made), Encoder(made)

    def controls(said: str, thought: str, asked: str) -> list[int]:
        messages = [
            Message("user", asked),
            Message("assistant", said, thought=thought),
            Message("user", asked),
        ]
        begun = Message("assistant", said, thought=thought)
        ids = encoder.encode(format.begun(messages, begun).pieces)
        names = {*FAMILIES[family][1], "<|im_start|>", "<|im_end|>"}
        known = {made.convert_tokens_to_ids(name) for name in names}
        return [id for id in ids if id in known]

    try:
        found = controls(said, thought, asked)
    except prompts.PromptError:
        return  # a template may refuse what looks like its marks
    likes = {tuple(controls(*usual)) for usual in itertools.product(("a", ""), repeat=3)}
    assert tuple(found) in likes


def test_a_built_in_format_knows_thoughts_by_the_vocabulary() -> None:
    made = tiny.chatml_tokenizer()
    assert prompts.choose(made, "chatml").thoughts is None
    made.add_tokens(["<think>", "</think>"])
    format = prompts.choose(made, "chatml")
    assert isinstance(format, ChatML)
    assert format.thoughts
    assert format.shown == ("<think>", "</think>")
    assert prompts.choose(made, "plain").thoughts is None
    ids = Encoder(made).encode(format.pieces([Message("user", "<think>")]))
    assert made.convert_tokens_to_ids("<think>") not in ids
