"""chat.core.conversation: any history becomes clean messages, and those a prompt that fits."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.core.conversation import Conversation, clean, conversation, rebuild, text_of
from chat.core.fitting import fit, session
from chat.errors import BadRequest, TooLong
from prompts import Message, Piece
from prompts.base import check
from prompts.order import in_turns
from tests.support.fakes import CharTokens, LineFormat


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


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
        ("a\x00b\x1bc\x7fd\x85e", "abcde"),
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


def prompt_of(messages: Sequence[Message], window: int, max_new_tokens: int) -> tuple[str, int]:
    asked = Conversation(messages)
    ids, dropped, *_ = fit(
        asked, LineFormat(), CharTokens(), window=window, max_new_tokens=max_new_tokens
    )
    return "".join(map(chr, ids)), dropped


DIALOGUE = [
    Message("system", "Be brief."),
    *rebuild([user("one"), assistant("1"), user("two"), assistant("2")], "three", "").messages,
]
WHOLE = (
    "system: Be brief.\0user: one\0assistant: 1\0user: two\0assistant: 2\0user: three\0assistant: "
)


def test_what_fits_to_the_token_is_kept_whole() -> None:
    assert prompt_of(DIALOGUE, len(WHOLE) + 5, 5) == (WHOLE, 0)


@pytest.mark.parametrize(
    ("too_many", "dropped", "left"),
    [
        (1, 1, "system: Be brief.\0user: two\0assistant: 2\0user: three\0assistant: "),
        (23, 1, "system: Be brief.\0user: two\0assistant: 2\0user: three\0assistant: "),
        (24, 2, "system: Be brief.\0user: three\0assistant: "),
        (46, 2, "system: Be brief.\0user: three\0assistant: "),
    ],
)
def test_whole_oldest_turns_are_dropped_and_never_the_system_prompt(
    too_many: int, dropped: int, left: str
) -> None:
    assert prompt_of(DIALOGUE, len(WHOLE) + 5 - too_many, 5) == (left, dropped)


@pytest.mark.parametrize("window", [400, 800, 1600])
def test_turns_go_in_steps_so_that_most_prompts_begin_as_the_one_before(window: int) -> None:
    said: list[dict[str, str]] = []
    dropped: list[int] = []
    for turn in range(150):
        asked = rebuild(said, f"question {turn}", "Be brief.")
        prompt = fit(asked, LineFormat(), CharTokens(), window=window, max_new_tokens=20)
        dropped.append(prompt.dropped_turns)
        said += [user(f"question {turn}"), assistant("an answer" + "!" * (turn % 5))]
    later = dropped[-100:]
    assert all(one <= other for one, other in pairwise(later))
    assert sum(one != other for one, other in pairwise(later)) <= 60 * 400 / window


def test_a_message_of_too_many_tokens_is_refused_with_its_size_and_the_limit() -> None:
    with pytest.raises(TooLong) as caught:
        prompt_of(DIALOGUE, len(WHOLE) + 5 - 47, 5)
    assert str(caught.value) == (
        "Your message takes 41 tokens with the system prompt; the limit is 40, "
        "which is the model's window of 45 less 5 for the reply."
    )


@pytest.mark.parametrize("max_new_tokens", [50, 51, 99, 100, 101, 2**70])
def test_for_a_reply_no_more_than_half_the_window_is_kept(max_new_tokens: int) -> None:
    overhead = len("user: \0assistant: ")
    prompt, dropped = prompt_of([Message("user", "x" * (50 - overhead))], 100, max_new_tokens)
    assert (len(prompt), dropped) == (50, 0)
    with pytest.raises(TooLong) as caught:
        prompt_of([Message("user", "x" * (51 - overhead))], 100, max_new_tokens)
    assert str(caught.value) == (
        "Your message takes 51 tokens; the limit is 50, "
        "which is the model's window of 100 less 50 for the reply."
    )


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


ODD = [
    Message("system", "Be brief."),
    Message("assistant", "hello"),
    Message("user", "one"),
    Message("system", "rules"),
    Message("assistant", "1"),
    Message("system", "more"),
    Message("user", "two"),
]
LAST = "system: more\0user: two\0assistant: "
ALL = "system: Be brief.\0assistant: hello\0user: one\0system: rules\0assistant: 1\0" + LAST


@pytest.mark.parametrize(
    ("room", "dropped", "left"),
    [
        (len(ALL), 0, ALL),
        (len(ALL) - 1, 1, "system: Be brief.\0" + LAST),
        (len("system: Be brief.\0" + LAST), 1, "system: Be brief.\0" + LAST),
    ],
)
def test_a_greeting_goes_with_the_oldest_turn_and_a_late_system_message_with_its_own(
    room: int, dropped: int, left: str
) -> None:
    assert prompt_of(ODD, room + 5, 5) == (left, dropped)


def test_a_greeting_goes_before_the_only_message_is_refused() -> None:
    messages = [Message("assistant", "hello"), Message("user", "hi")]
    whole = "assistant: hello\0user: hi\0assistant: "
    assert prompt_of(messages, len(whole) + 5, 5) == (whole, 0)
    assert prompt_of(messages, len(whole) + 4, 5) == ("user: hi\0assistant: ", 1)


def test_instructions_alone_that_do_not_fit_are_refused_as_such() -> None:
    whole = "system: Write.\0assistant: "
    assert prompt_of([Message("system", "Write.")], len(whole) + 5, 5) == (whole, 0)
    with pytest.raises(TooLong, match=f"Your system prompt takes {len(whole)} tokens; the limit"):
        prompt_of([Message("system", "Write.")], len(whole) + 4, 5)
    with pytest.raises(TooLong, match="Your system prompt has 900 characters; the limit is 800"):
        prompt_of([Message("system", "x" * 900)], 100, 5)


@pytest.mark.parametrize("letters", [3, 200])
def test_the_oldest_are_left_out_untokenized_in_any_order(letters: int) -> None:
    messages = [Message("assistant", "hello")]
    for _ in range(9):
        messages += [
            Message("user", "u" * letters),
            Message("system", "s" * letters),
            Message("assistant", "a" * letters),
        ]
    asked = Conversation([*messages, Message("user", "now")])
    tokens = CountingTokens()
    prompt = fit(asked, LineFormat(), tokens, window=80, max_new_tokens=10)
    assert prompt.ids[: len("user: ")] == [ord(letter) for letter in "user: "]
    assert tokens.most <= 80 * 8 + 30 * 3
    assert len(prompt.ids) <= 70


class CountingTokens(CharTokens):
    """Remembers how many characters it was given in one go, at most."""

    most = 0

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        self.most = max(self.most, sum(len(piece) for piece in pieces if isinstance(piece, str)))
        return super().encode(pieces)


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([Message("user", "x" * 200_000)], "message"),
        ([Message("system", "x" * 200_000), Message("user", "hi")], "system prompt"),
        ([Message("user", "x" * 200_000), Message("system", "hi")], "message"),
        ([Message("user", "hi"), Message("system", "x" * 200_000)], "system prompt"),
    ],
)
def test_a_message_of_200000_characters_is_refused_before_it_is_tokenized(
    messages: list[Message], what: str
) -> None:
    tokens = CountingTokens()
    with pytest.raises(TooLong) as caught:
        fit(Conversation(messages), LineFormat(), tokens, window=2000, max_new_tokens=10)
    assert str(caught.value) == f"Your {what} has 200,000 characters; the limit is 16,000."
    assert tokens.most == 0


def test_a_history_far_beyond_the_window_is_never_tokenized() -> None:
    history = [message for _ in range(500) for message in (user("a" * 90), assistant("b" * 90))]
    tokens = CountingTokens()
    prompt = fit(rebuild(history, "now", ""), LineFormat(), tokens, window=400, max_new_tokens=10)
    assert prompt.dropped_turns == 499
    assert tokens.most < 2 * 400 * 8


class WideTokens(CharTokens):
    """A hundred characters to a token, so that only the count of characters limits a history."""

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        return super().encode(pieces)[::100]


@pytest.mark.parametrize(
    ("question", "answer", "dropped"),
    [(63, 63, 1), (64, 63, 2), (1, 252, 2), (1, 512, 3), (1, 1, 0)],
)
def test_a_turn_is_left_out_untokenized_once_it_lies_beyond_the_limit_of_characters(
    question: int, answer: int, dropped: int
) -> None:
    history = [
        message for _ in range(3) for message in (user("a" * question), assistant("b" * answer))
    ]
    asked = rebuild(history, "now", "")
    prompt = fit(asked, LineFormat(), WideTokens(), window=32, max_new_tokens=1)
    assert prompt.dropped_turns == dropped


TURNS = st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), max_size=12)


@settings(deadline=None)
@given(TURNS, st.text(max_size=40), st.text(max_size=20), st.integers(64, 300), st.integers(1, 80))
def test_a_prompt_never_exceeds_the_window_and_lacks_only_the_oldest_turns(
    turns: list[tuple[str, str]], message: str, system_prompt: str, window: int, room: int
) -> None:
    history = [entry for a, b in turns for entry in (user(f"u{a}"), assistant(f"a{b}"))]
    conversation = rebuild(history, f"u{message}", system_prompt)
    system = [message for message in conversation.messages if message.role == "system"]
    dialogue = conversation.messages[len(system) :]

    def encoded(dropped: int) -> list[int]:
        return CharTokens().encode(LineFormat().pieces([*system, *dialogue[2 * dropped :]]))

    limit = window - min(room, window // 2)
    try:
        ids, dropped, *_ = fit(
            conversation, LineFormat(), CharTokens(), window=window, max_new_tokens=room
        )
    except TooLong:
        assert len(encoded(len(turns))) > limit
    else:
        assert len(ids) <= limit
        assert ids == encoded(dropped)
        least = next(fewer for fewer in range(dropped + 1) if len(encoded(fewer)) <= limit)
        assert dropped - least <= (len(turns) + 1 - least) // 4


def test_a_conversation_that_has_begun_keeps_apart_what_is_asked_and_what_is_there() -> None:
    asked = rebuild([user("a"), assistant("b")], "c", "s", " one")
    assert script(asked) == "s: s | u: a | a: b | u: c | a:  one"
    assert (asked.asked, asked.begun.content) == (asked.messages[:-1], " one")
    assert script(asked.with_begun("two")) == "s: s | u: a | a: b | u: c | a: two"
    assert script(asked.with_begun("")) == "s: s | u: a | a: b | u: c"
    assert script(asked.with_system("t")) == "s: t | u: a | a: b | u: c | a:  one"
    assert script(asked.with_system("")) == "u: a | a: b | u: c | a:  one"


def test_the_usual_prompt_is_composed_once() -> None:
    composed = []

    class Counted(LineFormat):
        def pieces(self, messages: Any) -> Any:
            composed.append(messages)
            return super().pieces(messages)

    asked = rebuild([user("a"), assistant("b")], "c", "s", " one")
    found = fit(asked, Counted(), CharTokens(), window=2000, max_new_tokens=10)
    assert len(composed) == 1
    assert found.ids == CharTokens().encode(found.begun.pieces)


def test_a_conversation_has_the_same_name_in_each_of_its_turns() -> None:
    system, first = Message("system", "Be kind."), Message("user", "Hi")
    later = [Message("assistant", "Hello."), Message("user", "Tell me more.")]
    assert session([system, first]) == session([system, first, *later])
    assert session([first]) == session([first, *later])


def test_another_beginning_is_another_conversation() -> None:
    system, first = Message("system", "Be kind."), Message("user", "Hi")
    beginnings: list[list[Message]] = [
        [system, first],
        [first],
        [Message("system", "Be rude."), first],
        [system, Message("user", "Ho")],
        [Message("user", "Be kind."), first],
        [system],
    ]
    names = {session(beginning) for beginning in beginnings}
    assert len(names) == len(beginnings)


def test_a_name_says_nothing_of_what_was_written() -> None:
    assert re.fullmatch("[0-9a-f]{32}", session([Message("user", "My secret")]))
