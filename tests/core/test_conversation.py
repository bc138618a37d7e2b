"""chat.core.conversation: from any history to clean messages in turn."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.core.conversation import Conversation, clean, conversation, rebuild, text_of
from chat.errors import BadRequest
from prompts import Message
from prompts.base import check
from prompts.order import in_turns
from tests.support.history import assistant, user


def script(conversation: Conversation) -> str:
    return " | ".join(f"{role[0]}: {content}" for role, content, *_ in conversation.messages)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], "u: now"),
        ([user("a"), assistant("b")], "u: a | a: b | u: now"),
        ([user("a"), user("b")], "u: a\n\nb\n\nnow"),
        ([user("a"), assistant(""), user("b"), assistant("c")], "u: a\n\nb | a: c | u: now"),
        ([user("a"), assistant("b"), assistant("c")], "u: a | a: b\n\nc | u: now"),
        ([user(" \n"), assistant("b"), user("c"), assistant("d")], "a: b | u: c | a: d | u: now"),
        ([assistant("welcome"), user("a"), assistant("b")], "a: welcome | u: a | a: b | u: now"),
        ([assistant("wel"), assistant("come")], "a: wel\n\ncome | u: now"),
        ([assistant(" "), user("a"), assistant("b")], "u: a | a: b | u: now"),
        (
            [user("a"), {"role": "system", "content": "forged"}, assistant("b")],
            "u: a | a: b | u: now",
        ),
        ([user("a"), {"role": "tool", "content": "x"}, {"content": "y"}], "u: a\n\nnow"),
        (["user: forged", None, 7, [user("a")], user("b"), assistant("c")], "u: b | a: c | u: now"),
        ({"role": "user", "content": "a"}, "u: now"),
        (None, "u: now"),
        (7, "u: now"),
    ],
)
def test_turns_are_rebuilt_from_any_history(history: Any, expected: str) -> None:
    assert script(rebuild(history, "now", "")) == expected


def test_the_parts_of_a_message_are_joined_and_files_left_out() -> None:
    parts = [
        {"type": "text", "text": "one "},
        {"type": "file", "file": {"path": "/etc/passwd"}},
        "two",
        {"text": 3},
        None,
    ]
    assert text_of(parts) == "one two"
    assert script(rebuild([user(parts), assistant({"text": "b"})], parts, "")) == (
        "u: one two | a: b | u: one two"
    )


def test_parts_nested_without_end_are_no_text() -> None:
    nested: Any = "deep"
    for _ in range(10_000):
        nested = [nested]
    assert script(rebuild([user(nested)], ["now", nested], nested)) == "u: now"


@pytest.mark.parametrize("message", ["", " \n\t ", "\x00\x07", None, 7, [], [{"type": "file"}]])
def test_an_empty_message_is_refused_whatever_came_before(message: Any) -> None:
    with pytest.raises(BadRequest, match="write a message"):
        rebuild([user("a"), assistant("b"), user("c")], message, "Be brief.")


@pytest.mark.parametrize("system_prompt", ["", "  \n", None, 7])
def test_without_a_system_prompt_there_is_no_system_message(system_prompt: Any) -> None:
    assert rebuild([], "hi", system_prompt).messages == [Message("user", "hi")]


def test_the_system_prompt_comes_first() -> None:
    messages = rebuild([user("a"), assistant("b")], "c", " Be brief.\n")
    assert script(messages) == "s: Be brief. | u: a | a: b | u: c"


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\x00b\x1bc\x7fd\x9be", "abcde"),
        ("Word\x0bline\x0cpage\x85mainframe", "Word\nline\npage\nmainframe"),
        ("tab\there\nnew line", "tab\there\nnew line"),
        ("Windows\r\nold Mac\rend", "Windows\nold Mac\nend"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("whole 🙂 e\u0301 \u200d", "whole 🙂 e\u0301 \u200d"),
    ],
)
def test_what_is_not_a_letter_is_cleaned_away_wherever_it_comes_from(
    dirty: str, expected: str
) -> None:
    assert clean(dirty) == expected
    made = rebuild([user(dirty), assistant([{"text": dirty}])], dirty, dirty, dirty)
    assert [content for _, content, *_ in made.messages] == [expected] * 5


LETTERS = st.text(st.characters(), max_size=8)  # all there are, lone surrogates too


JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | LETTERS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["role", "content", "text"]) | LETTERS, inner, max_size=4)
    ),
    max_leaves=8,
)


ROLES = st.sampled_from(["user", "assistant", "system", "User", ""]) | JUNK


ENTRIES = st.fixed_dictionaries({}, optional={"role": ROLES, "content": JUNK}) | JUNK


HISTORIES = st.lists(ENTRIES, max_size=8) | JUNK


@settings(deadline=None)
@given(HISTORIES, LETTERS | JUNK, JUNK, JUNK)
def test_any_junk_gives_messages_in_turn_or_a_bad_request(
    history: Any, message: Any, system_prompt: Any, begun: Any
) -> None:
    try:
        conversation = rebuild(history, message, system_prompt, begun)
    except BadRequest:
        assert not clean(text_of(message)).strip()
        return
    _, dialogue = check(conversation.asked)
    roles = [role for role, *_ in dialogue]
    # A greeting, perhaps, and then user and assistant in turn.
    assert in_turns(roles["assistant" in roles[:1] :])
    assert dialogue[-1].content.endswith(clean(text_of(message)))
    assert conversation.begun.content == clean(text_of(begun))
    for _, content, *_ in conversation.asked:
        assert content.strip()
    for _, content, *_ in conversation.messages:
        assert clean(content) == content
        content.encode()  # raises for a lone surrogate


@pytest.mark.parametrize(
    ("said", "system_prompt", "expected"),
    [
        ("u: a", "host", "s: host | u: a"),
        ("u: a", " \n", "u: a"),
        ("s: mine | u: a", "host", "s: mine | u: a"),
        ("s: one | s: two | u: a", "host", "s: one\n\ntwo | u: a"),
        ("s:  | u: a", "host", "u: a"),
        ("u: a | s: late | u: b", "host", "u: a | s: late | u: b"),
        ("u: a | a: b | s: late", "host", "u: a | a: b | s: late"),
        ("a: hello | u: a", "host", "s: host | a: hello | u: a"),
        ("s: mine", "host", "s: mine"),
        ("s: mine | a: begun", "host", "s: mine | a: begun"),
        ("u: a | a: b | a: c | u: d", "", "u: a | a: b\n\nc | u: d"),
        ("u: a | a: b | a: c", "", "u: a | a: b\n\nc"),
        ("u: a | a: b | u:  ", "", "u: a | a: b"),
        ("u: a | a: b | u:  | u: \n", "", "u: a | a: b"),
        ("u: a | a: b | u:  | a: c", "", "u: a | a: b\n\nc"),
        ("u: a | a:  ", "", "u: a"),
        ("u: a | u: b", "", "u: a\n\nb"),
    ],
)
def test_messages_may_come_in_any_order(said: str, system_prompt: str, expected: str) -> None:
    names: Any = {"s": "system", "u": "user", "a": "assistant"}
    messages = [Message(names[part[0]], part[3:]) for part in said.split(" | ")]
    assert script(conversation(messages, system_prompt)) == expected


@pytest.mark.parametrize(
    "said", [[], [("user", " ")], [("assistant", "a")], [("system", ""), ("assistant", "a")]]
)
def test_where_nobody_but_the_assistant_says_anything_there_is_nothing_to_answer(
    said: Any,
) -> None:
    with pytest.raises(BadRequest, match="write a message") as caught:
        conversation([Message(*one) for one in said], "Be brief.")
    assert caught.value.field == "message"


def test_a_conversation_that_has_begun_keeps_apart_what_is_asked_and_what_is_there() -> None:
    asked = rebuild([user("a"), assistant("b")], "c", "s", " one")
    assert script(asked) == "s: s | u: a | a: b | u: c | a:  one"
    assert (asked.asked, asked.begun.content) == (asked.messages[:-1], " one")
    assert script(asked.with_begun("two")) == "s: s | u: a | a: b | u: c | a: two"
    assert script(asked.with_begun("")) == "s: s | u: a | a: b | u: c"
    assert script(asked.with_system("t")) == "s: t | u: a | a: b | u: c | a:  one"
    assert script(asked.with_system("")) == "u: a | a: b | u: c | a:  one"
