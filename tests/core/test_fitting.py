"""chat.core.fitting: from messages to a prompt that fits."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.core.conversation import Conversation, rebuild
from chat.core.fitting import fit, session
from chat.errors import TooLong
from prompts import Message, Piece
from tests.support.fakes import CharTokens, LineFormat
from tests.support.history import assistant, user


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


def test_for_a_reply_whose_limit_is_large_no_more_than_some_thousand_tokens_are_kept() -> None:
    before = [Message("user", "hi"), Message("assistant", "ho")]
    prompt, dropped = prompt_of([*before, Message("user", "x" * 24_000)], 32_768, 32_000)
    assert (len(prompt) > 24_000, dropped) == (True, 0)
    with pytest.raises(TooLong, match=r"less 4,096 for the reply\.$"):
        prompt_of([Message("user", "x" * 30_000)], 32_768, 32_000)


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
