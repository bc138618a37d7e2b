"""chat.web.page.panel.saved: what the page asks about its conversations."""

from pathlib import Path
from typing import Any

import pytest

from chat.core.title import LONGEST as LONGEST_TITLE
from chat.errors import BadRequest
from chat.web.page.escape import MARK
from chat.web.page.history import Thought, entry
from chat.web.page.messages import shown
from chat.web.page.panel import saved as module
from chat.web.page.panel.saved import (
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.panel.seal import Seal
from prompts import Message
from tests.support.saved import entries, imported, opened, sealed_as

pytestmark = pytest.mark.usefixtures("read_here")


def test_a_history_comes_back_as_clean_messages(saved: SavedConversations) -> None:
    history = [
        {"role": "system", "content": "Obey."},
        *entries(f"Is <{MARK}b> a tag?\x00", "Yes: `<b>`."),
        {"role": "user", "content": ""},
    ]
    sealed = sealed_as(saved, None, history)
    assert sealed is not None
    assert opened(saved, None, sealed["text"]) == [
        Message("user", "Is <b> a tag?"),
        Message("assistant", "Yes: `<b>`."),
    ]
    assert "tag" not in sealed["text"] + sealed["title"]


@pytest.mark.parametrize("history", [[], None, "x", entries(" "), [{"role": "user"}]])
def test_where_nobody_says_anything_nothing_is_saved(
    saved: SavedConversations, history: Any
) -> None:
    assert sealed_as(saved, None, history) is None


@pytest.mark.parametrize(
    ("message", "title"),
    [
        ("Rain or snow?", "Rain or snow?"),
        ("  Two\n\nlines\t", "Two lines"),
        ("one two three " * 9, "one two three one two three one two three one two…"),
        ("雨" * 60, "雨" * 50 + "…"),
    ],
)
def test_a_conversation_is_called_by_its_first_words(
    saved: SavedConversations, message: str, title: str
) -> None:
    sealed = sealed_as(saved, None, entries(message, "Yes."))
    assert sealed is not None
    assert sealed["name"] == title
    assert saved.names(None, [sealed["title"]]) == [title]


def test_a_title_is_one_line_of_some_length(saved: SavedConversations) -> None:
    renamed = saved.rename(None, "a\n b\x1b " + "c" * (LONGEST_TITLE - 5) + " d")
    assert renamed["name"] == "a b " + "c" * (LONGEST_TITLE - 5)
    assert saved.names(None, [renamed["title"]]) == [renamed["name"]]


def test_a_greeting_is_kept_and_gives_no_title(saved: SavedConversations) -> None:
    greeting = {"role": "assistant", "content": "Welcome!"}
    sealed = sealed_as(saved, None, [greeting, *entries("Rain?", "Yes.")])
    assert sealed is not None
    assert sealed["name"] == "Rain?"
    assert opened(saved, None, sealed["text"])[0] == Message("assistant", "Welcome!")
    (loaded,) = imported(saved, [greeting])
    assert loaded["name"] == "Welcome!"


@pytest.mark.parametrize("title", ["", " \n", "\x00\x1b"])
def test_a_title_that_nobody_could_see_is_refused(saved: SavedConversations, title: str) -> None:
    with pytest.raises(BadRequest, match=r"^A title needs at least one character\.$"):
        saved.rename(None, title)


def test_titles_of_others_are_not_told(saved: SavedConversations) -> None:
    titles = [saved.rename(owner, "Mine")["title"] for owner in (None, "ann", "bob")]
    assert saved.names("ann", [*titles, "junk"]) == [None, "Mine", None, None]


def test_one_cannot_ask_for_too_much_at_once(saved: SavedConversations) -> None:
    assert saved.names(None, ["junk"] * MOST_CONVERSATIONS) == [None] * MOST_CONVERSATIONS
    with pytest.raises(BadRequest, match="1,000 conversations at once"):
        saved.names(None, ["junk"] * (MOST_CONVERSATIONS + 1))


THOUGHT = [
    Message("user", "Rain?"),
    Message("assistant", "No.", thought="Is 2*3*4 < 5?"),
    Message("user", "Snow?"),
    Message("assistant", "", thought="Half a"),
]


def test_thoughts_are_sealed_and_opened_with_their_replies(saved: SavedConversations) -> None:
    history = [entry(one.role, one.content, Thought(one.thought, 2.0, 9)) for one in THOUGHT]
    sealed = sealed_as(saved, None, shown(history))
    assert sealed is not None
    assert opened(saved, None, sealed["text"]) == THOUGHT
    content = saved.export(None, sealed["title"], sealed["text"], "2026-01-31T12:00:00Z")
    messages = content["conversations"][0]["messages"]
    assert messages[1]["reasoning_content"] == "Is 2*3*4 < 5?"
    assert "reasoning_content" not in messages[0]
    assert messages[3] == {"role": "assistant", "content": "", "reasoning_content": "Half a"}
    (again,) = imported(saved, content)
    assert opened(saved, None, again["text"]) == THOUGHT
    assert "> Half a" in saved.markdown(None, sealed["title"], sealed["text"])


def test_what_was_saved_when_there_were_no_thoughts_is_opened(tmp_path: Path) -> None:
    seal = Seal(tmp_path)
    text = seal.close('[{"role": "user", "content": "Hi"}]', None)
    assert opened(SavedConversations(seal), None, text) == [Message("user", "Hi")]


def test_a_thought_alone_has_a_title(saved: SavedConversations) -> None:
    thought = {"role": "assistant", "reasoning_content": "Half a", "content": ""}
    (loaded,) = imported(saved, [thought])
    assert loaded["name"] == "Half a"


def test_what_is_said_is_opened_to_be_searched_and_nothing_else(saved: SavedConversations) -> None:
    history = [entry(one.role, one.content, Thought(one.thought, 2.0, 9)) for one in THOUGHT]
    one = sealed_as(saved, "ann", shown(history), "Obey.")
    other = sealed_as(saved, "bob", entries("Mine"))
    assert one is not None
    assert other is not None
    texts = [other["text"], one["text"], "forged"]
    assert saved.texts("ann", texts) == [None, "Rain?\n\nNo.\n\nSnow?\n\n", None]


def test_an_answer_to_a_search_ends_where_it_would_grow_too_long(
    saved: SavedConversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SEARCHED", 5000)
    sealed = sealed_as(saved, None, entries("a" * 3000))
    assert sealed is not None
    assert saved.texts(None, [sealed["text"]] * 9) == ["a" * 3000] * 2
    monkeypatch.setattr(module, "SEARCHED", 5)
    assert saved.texts(None, [sealed["text"]] * 9) == ["a" * 3000]


def test_no_conversation_is_unpacked_for_a_title(saved: SavedConversations) -> None:
    sealed = sealed_as(saved, None, entries("a" * 100_000))
    assert sealed is not None
    assert saved.names(None, [sealed["text"], sealed["title"]]) == [None, sealed["name"]]
