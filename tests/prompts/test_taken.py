"""prompts.taken: what a chat template makes of messages in some order."""

from typing import Any

import pytest

from prompts.base import visible
from prompts.formats.template import Template
from prompts.order import Order, arranged
from prompts.taken import Taken
from tests.prompts.test_order import said
from tests.support.tiny import LLAMA2_TEMPLATE, VICUNA_TEMPLATE, chatml_tokenizer

#: Templates of the kinds that are about.
ALTERNATE = (
    "{% set dialogue = messages[1:] if messages[0].role == 'system' else messages %}"
    "{% for message in dialogue %}{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate.') }}{% endif %}{% endfor %}"
)
LATE = (
    "{% for message in messages %}{% if message.role == 'system' and not loop.first %}"
    "{{ raise_exception('System message must be at the beginning.') }}{% endif %}{% endfor %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
ASKED = (
    "{% if messages | selectattr('role', 'equalto', 'user') | list | length == 0 %}"
    "{{ raise_exception('No user query found in messages.') }}{% endif %}"
)


#: It asks for a reply after a user's message alone.
UNASKED = (
    "{% for one in messages %}<{{ one.role }}>{{ one.content }}{% endfor %}"
    "{% if add_generation_prompt and messages[-1].role == 'user' %}<assistant>{% endif %}"
)
#: The mark of the assistant stands at the end of a user's message.
UNMARKED = (
    "{% for one in messages %}{% if one.role == 'user' %}<user>{{ one.content }}<assistant>"
    "{% else %}{{ one.content }}<end>{% endif %}{% endfor %}"
)
#: Only a user's message has marks, as in early templates of Mistral's.
BARE = (
    "{% for one in messages %}{% if one.role == 'user' %}[INST] {{ one.content }} [/INST]"
    "{% elif one.role == 'system' %}{{ one.content }}\n\n{% else %} {{ one.content }}</s>"
    "{% endif %}{% endfor %}"
)
#: It leaves out all system messages but the first.
DROPS = (
    "{% if messages[0].role == 'system' %}<system>{{ messages[0].content }}{% endif %}"
    "{% for one in messages if one.role != 'system' %}<{{ one.role }}>{{ one.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def template(*before: str, base: str = "") -> Template:
    tokenizer = chatml_tokenizer()
    tokenizer.chat_template = "".join(before) + (base or tokenizer.chat_template)
    return Template(tokenizer)


ODD = {
    "late": "s: x | u: a | a: b | s: y | u: c",
    "greeting": "s: x | a: hi | u: a",
    "alone": "s: x",
    "last": "u: a | a: b | s: x",
}


@pytest.mark.parametrize(
    ("made", "order", "taken"),
    [
        (template(), Order.ANY, ["late", "greeting", "alone"]),
        (template(ALTERNATE), Order.TURNS, ["late", "greeting"]),
        (template(LATE), Order.SYSTEM_FIRST, ["late", "greeting", "alone"]),
        (template(ASKED), Order.TURNS, ["alone"]),
        (template(NO_SYSTEM, ALTERNATE), Order.TURNS_ALONE, ["late", "greeting", "alone"]),
        (template(base=LLAMA2_TEMPLATE), Order.TURNS, ["late", "greeting", "alone"]),
        (template(base=VICUNA_TEMPLATE), Order.ANY, ["late", "greeting", "alone"]),
        (template(base=UNASKED), Order.ANY, ["late", "greeting"]),
        (template(base=UNASKED), Order.TURNS, ["alone", "last"]),
        (template(base=UNMARKED), Order.TURNS, ["greeting"]),
        (template(base=BARE), Order.TURNS, ["greeting", "alone", "last"]),
        (template(base=DROPS), Order.SYSTEM_FIRST, ["late", "greeting", "alone"]),
    ],
    ids=[
        *("any", "alternating", "system first", "asks for a user", "no system", "llama2"),
        *("vicuna", "unasked", "unasked at last", "unmarked", "bare", "drops"),
    ],
)
def test_a_template_gets_the_most_faithful_order_that_it_takes(
    made: Template, order: Order, taken: list[str]
) -> None:
    for name in taken:
        messages = said(ODD[name])
        assert made.pieces(messages) == made.pieces(arranged(messages, order)), name


def test_a_system_message_that_would_pass_for_a_reply_is_said_by_the_user() -> None:
    # This template knows users, and takes all others for the assistant.
    text = "".join(map(visible, template(base=LLAMA2_TEMPLATE).pieces(said(ODD["late"]))))
    assert "b <|im_end|><|im_start|>[INST] y\n\nc [/INST]" in text


def test_a_template_that_collects_system_messages_does_so() -> None:
    collects = (
        "{% for one in messages if one.role == 'system' %}<<{{ one.content }}>>{% endfor %}"
        "{% for one in messages if one.role != 'system' %}[{{ one.role }}]{{ one.content }}"
        "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
    )
    text = "".join(map(visible, template(base=collects).pieces(said(ODD["late"]))))
    assert text == "<<x>><<y>>[user]a[assistant]b[user]c[assistant]"


def test_a_template_that_keeps_only_one_system_message_loses_none() -> None:
    keeps = (
        "{% set kept = namespace(text='') %}{% for one in messages if one.role == 'system' %}"
        "{% set kept.text = one.content %}{% endfor %}<<{{ kept.text }}>>"
        "{% for one in messages if one.role != 'system' %}[{{ one.role }}]{{ one.content }}"
        "{% endfor %}[assistant]"
    )
    text = "".join(map(visible, template(base=keeps).pieces(said(ODD["late"]))))
    assert text == "<<x>>[user]a[assistant]b[user]y\n\nc[assistant]"


def test_what_a_template_takes_is_looked_at_once() -> None:
    asked = []

    def render(messages: Any) -> str:
        asked.append(messages)
        return "".join(f"<{role}>{content}" for role, content, *_ in messages) + "<assistant>"

    takes = Taken(render)
    roles: Any = ("assistant", "user", "system", "user")
    assert takes(roles)
    looked = len(asked)
    assert takes(roles)
    assert len(asked) == looked


def test_a_template_that_takes_nothing_at_all_takes_no_order() -> None:
    def refuse(messages: Any) -> str:
        raise ValueError

    assert not Taken(refuse)(("user",))


def test_an_end_that_shares_a_part_of_a_word_asks_for_no_reply() -> None:
    """As `[/SYSTEM_PROMPT]` and `[/INST]` do in templates of Mistral's."""
    written = {"system": "[SYSTEM_PROMPT]{}[/SYSTEM_PROMPT]", "user": "[INST]{}[/INST]"}
    takes = Taken(
        lambda messages: "".join(
            written.get(one.role, "{}</s>").format(one.content) for one in messages
        )
    )
    assert takes(("user", "user"))
    assert not takes(("user", "assistant", "system"))
