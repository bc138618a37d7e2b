"""chat.web.page.messages: what the browser gets of a history, and what comes back."""

import re
from typing import Any

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from chat.web.page.history import Thought, entry
from chat.web.page.messages import COPIED, REPLY, THOUGHT, given, place, shown, title

TOOK = Thought("Hm.", 12.34, 340)
TALK = [
    entry("user", "Hi <b>"),
    entry("assistant", "Hello <b>", TOOK),
    entry("user", "And?"),
    entry("assistant", "", Thought("Is 2*3*4 < 5?\n")),
    entry("user", "So?"),
    entry("assistant", "Yes"),
]
BITS = st.sampled_from([THOUGHT, REPLY, "&#0042;", "<b>", "\ufeff", "\n", "Thought\n  ", "```\n"])
#: As they are cleaned, no line ends with U+000D.
OTHER = st.text(st.characters(exclude_characters="\r"), max_size=3)
ANY = st.lists(BITS | OTHER, min_size=1).map("".join).filter(bool)


def test_a_thought_is_a_message_of_its_own_in_the_browser() -> None:
    sent = shown(TALK)
    assert [one["role"] for one in sent] == ["user", *["assistant"] * 2] * 2 + ["user", "assistant"]
    assert [one.get("metadata", {}).get("title") for one in sent] == [
        *[None, "Thought for 12 s, 340 tokens", None],
        *[None, "Thought", None],
        *[None, None],
    ]
    assert sent[1]["metadata"]["status"] == "done"
    assert "status" not in sent[4]["metadata"], "without a reply it stays open"
    growing = shown(TALK[:2], thinking=True)[1]["metadata"]
    assert (growing["title"], growing["status"]) == ("Thinking, 12 s", "pending")


def test_a_history_comes_back_from_the_browser() -> None:
    back = given(shown(TALK))
    assert back[1] == entry("assistant", "Hello <b>", TOOK._replace(seconds=12.3))
    assert [*back[:1], *back[2:]] == [*TALK[:1], *TALK[2:]]


@over(ANY, ANY)
def test_no_text_is_taken_for_a_thought_or_loses_its_own(said: str, thought: str) -> None:
    history = [entry("user", said), entry("assistant", said), entry("assistant", thought)]
    assert given(shown(history)) == history
    history = [entry("assistant", said, Thought(thought)), entry("user", thought)]
    assert given(shown(history)) == history


@over(ANY, ANY)
def test_what_is_copied_has_no_thought_in_it(said: str, thought: str) -> None:
    """Gradio copies one reply with its title before it, and a conversation with roles."""
    history = [entry("user", said), entry("assistant", said, Thought(thought))]
    user, folded, reply = (one["content"][0]["text"] for one in shown(history))
    body = reply.removeprefix(REPLY)
    thoughts = re.compile(COPIED.replace("[^]", "[\\s\\S]"), re.MULTILINE)
    assert thoughts.sub("", f"Thought\n  {folded}\n\n{reply}") == body
    talk = f"user: {user}\n\nassistant: {folded}\n\nassistant: {reply}"
    assert thoughts.sub("", talk) == f"user: {user}\n\nassistant: {body}"


@pytest.mark.parametrize(
    "junk",
    [
        None,
        "x",
        [None, [], "x"],
        [{"role": "assistant", "content": 5, "metadata": "x"}],
        [{"role": "assistant", "content": THOUGHT, "metadata": {"id": "nan nan"}}],
        [{"role": "assistant", "content": f"{THOUGHT}a", "metadata": {"id": "1e9 -5"}}],
        [{"role": "assistant", "content": f"{REPLY}a"}],
    ],
)
def test_whatever_is_sent_becomes_a_history_that_can_be_shown(junk: Any) -> None:
    for one in shown(given(junk)):
        assert isinstance(one["content"][0]["text"], str)


@pytest.mark.parametrize(
    ("number", "at"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 5), (8, 6)]
)
def test_a_message_is_found_by_its_number_in_the_browser(number: int, at: int) -> None:
    assert place(TALK, number) == at


@pytest.mark.parametrize(
    ("thought", "expected"),
    [
        (Thought("a"), "Thought"),
        (Thought("a", 0.2, 1), "Thought for under 1 s, 1 token"),
        (Thought("a", 59.4, 1234), "Thought for 59 s, 1,234 tokens"),
        (Thought("a", 59.6, 2), "Thought for 1 min 0 s, 2 tokens"),
        (Thought("a", 125, 2), "Thought for 2 min 5 s, 2 tokens"),
    ],
)
def test_the_title_says_what_it_took(thought: Thought, expected: str) -> None:
    assert title(thought) == expected


def test_the_title_of_one_that_grows_says_how_long_it_takes() -> None:
    assert title(Thought("a", 2.2, 9), thinking=True) == "Thinking, 2 s"
