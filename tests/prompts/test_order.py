"""prompts.order: messages in any order, as a format can carry them."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompts import FORMATS, Message, PromptError, choose
from prompts.base import visible
from prompts.order import Order, arranged, in_turns, turns
from tests.support.tiny import chatml_tokenizer

NAMES = {"s": "system", "u": "user", "a": "assistant"}


def said(text: str) -> list[Any]:
    """Read messages as in `u: Hi | a: Hello`."""
    parts = [part.partition(": ") for part in text.split(" | ")]
    return [Message(NAMES[letter.strip()], content) for letter, _, content in parts]


def written(messages: Sequence[Message]) -> str:
    return " | ".join(f"{role[0]}: {content}" for role, content, *_ in messages)


@pytest.mark.parametrize(
    ("text", "first", "in_turn", "alone"),
    [
        ("u: a", "u: a", "u: a", "u: a"),
        ("s: x | u: a", "s: x | u: a", "s: x | u: a", "u: x\n\na"),
        ("u: a | a: b | s: x | u: c", *["u: a | a: b | u: x\n\nc"] * 3),
        ("u: a | s: x", *["u: a\n\nx"] * 3),
        ("u: a | s: x | a: b | u: c", *["u: a\n\nx | a: b | u: c"] * 3),
        ("u: a | a: b | s: x", *["u: a | a: b | u: x"] * 3),
        ("a: hi | u: a", "a: hi | u: a", *["u:  | a: hi | u: a"] * 2),
        (
            "s: x | a: hi | u: a",
            "s: x | a: hi | u: a",
            "s: x | u:  | a: hi | u: a",
            "u: x | a: hi | u: a",
        ),
        ("s: x", "s: x", "s: x | u: ", "u: x"),
        ("s: x | s: y | u: a", *["s: x\n\ny | u: a"] * 2, "u: x\n\ny\n\na"),
        ("s:  | u: a", *["s:  | u: a"] * 2, "u: a"),
        ("u: a | u: b | a: c | a: d | u: e", *["u: a\n\nb | a: c\n\nd | u: e"] * 3),
    ],
)
def test_each_text_stays_at_its_place(text: str, first: str, in_turn: str, alone: str) -> None:
    messages = said(text)
    orders = [Order.ANY, Order.SYSTEM_FIRST, Order.TURNS, Order.TURNS_ALONE]
    assert [written(arranged(messages, order)) for order in orders] == [
        text,
        first,
        in_turn,
        alone,
    ]


ROLES = st.sampled_from(["system", "user", "assistant"])
ANY = st.lists(st.tuples(ROLES, st.integers(0, 99).map("<{}>".format)), min_size=1, max_size=9)


@given(ANY)
def test_any_order_becomes_turns_and_no_text_is_lost(pairs: list[tuple[Any, str]]) -> None:
    messages = [Message(*pair) for pair in pairs]
    if messages[-1].role == "assistant":
        with pytest.raises(PromptError, match="must come from the user"):
            turns(messages)
        return
    for order in Order:
        found = arranged(messages, order)
        assert "".join(content for _, content, *_ in found).replace("\n\n", "") == "".join(
            content for _, content, *_ in messages
        )
        if order >= Order.TURNS:
            assert in_turns([role for role, *_ in found])
        if order is Order.TURNS_ALONE:
            assert "system" not in [role for role, *_ in found]
    system, dialogue = turns(messages)
    assert (system is None) == (messages[0].role != "system")
    assert in_turns([role for role, *_ in dialogue])


@pytest.mark.parametrize("name", FORMATS)
@given(pairs=ANY)
def test_every_format_writes_every_text_once_and_in_order(
    name: str, pairs: list[tuple[Any, str]]
) -> None:
    messages = [Message(*pair) for pair in [*pairs, ("user", "<last>")]]
    format = choose(chatml_tokenizer() if name == "template" else None, name)
    text = "".join(map(visible, format.pieces(messages)))
    found = text
    for _, content, *_ in messages:
        _, there, found = found.partition(content)
        assert there, (content, text)
