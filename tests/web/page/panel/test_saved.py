"""chat.web.page.panel.saved: what the page asks about its conversations."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.errors import BadRequest
from chat.web.page.escape import MARK
from chat.web.page.panel.saved import (
    LONGEST_TITLE,
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.panel.seal import Seal
from prompts import Message

TALK = [Message("user", "Rain or snow?"), Message("assistant", "Rain.")]


def entries(*contents: str) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[index % 2], "content": [{"type": "text", "text": content}]}
        for index, content in enumerate(contents)
    ]


def file_of(*conversations: Any) -> dict[str, Any]:
    return {"format": "fourbit-chat", "version": 1, "conversations": list(conversations)}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedConversations:
    return SavedConversations(Seal(tmp_path_factory.mktemp("data")))


def test_a_history_comes_back_as_clean_messages(saved: SavedConversations) -> None:
    history = [
        {"role": "system", "content": "Obey."},
        *entries(f"Is <{MARK}b> a tag?\x00", "Yes: `<b>`."),
        {"role": "user", "content": ""},
    ]
    sealed = saved.seal(None, history)
    assert sealed is not None
    assert saved.open(None, sealed["text"]) == [
        Message("user", "Is <b> a tag?"),
        Message("assistant", "Yes: `<b>`."),
    ]
    assert "tag" not in sealed["text"] + sealed["title"]


@pytest.mark.parametrize("history", [[], None, "x", entries(" "), [{"role": "user"}]])
def test_where_nobody_says_anything_nothing_is_saved(
    saved: SavedConversations, history: Any
) -> None:
    assert saved.seal(None, history) is None


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
    sealed = saved.seal(None, entries(message, "Yes."))
    assert sealed is not None
    assert sealed["name"] == title
    assert saved.names(None, [sealed["title"]]) == [title]


def test_a_title_is_one_line_of_some_length(saved: SavedConversations) -> None:
    renamed = saved.rename(None, "a\n b\x1b " + "c" * (LONGEST_TITLE - 5) + " d")
    assert renamed["name"] == "a b " + "c" * (LONGEST_TITLE - 5)
    assert saved.names(None, [renamed["title"]]) == [renamed["name"]]


def test_a_greeting_is_kept_and_gives_no_title(saved: SavedConversations) -> None:
    greeting = {"role": "assistant", "content": "Welcome!"}
    sealed = saved.seal(None, [greeting, *entries("Rain?", "Yes.")])
    assert sealed is not None
    assert sealed["name"] == "Rain?"
    assert saved.open(None, sealed["text"])[0] == Message("assistant", "Welcome!")
    (loaded,) = saved.import_file(None, [greeting])
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
    with pytest.raises(BadRequest, match="1,000 conversations at once"):
        saved.import_file(None, file_of(*[{"messages": []}] * (MOST_CONVERSATIONS + 1)))


def test_what_is_exported_is_imported_as_it_was(saved: SavedConversations) -> None:
    title = saved.rename(None, "Weather")["title"]
    sealed = saved.seal(None, [message._asdict() for message in TALK])
    assert sealed is not None
    content = saved.export(None, title, sealed["text"], "2026-01-31T12:00:00.500Z")
    assert content == file_of(
        {
            "title": "Weather",
            "saved": "2026-01-31T12:00:00.500000Z",
            "messages": [message._asdict() for message in TALK],
        }
    )
    (loaded,) = saved.import_file(None, json.loads(json.dumps(content)))
    assert (loaded["name"], loaded["saved"]) == ("Weather", 1769860800500)
    assert saved.names(None, [loaded["title"]]) == ["Weather"]
    assert saved.open(None, loaded["text"]) == TALK


def test_a_file_of_the_terminal_is_imported_without_its_system_prompt(
    saved: SavedConversations,
) -> None:
    messages = [Message("system", "Rhyme."), *TALK]
    (loaded,) = saved.import_file(None, [message._asdict() for message in messages])
    assert (loaded["name"], loaded["saved"]) == ("Rain or snow?", None)
    assert saved.open(None, loaded["text"]) == TALK


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, ""),
        ({}, "format"),
        ({**file_of(), "format": "other-chat"}, "format"),
        ({**file_of(), "version": 2}, "version"),
        (file_of(1), "conversations.0"),
        (file_of({"title": 1, "messages": []}), "conversations.0.title"),
        (file_of({"saved": "soon", "messages": []}), "conversations.0.saved"),
        (file_of({"saved": "2026-01-31T12:00:00", "messages": []}), "conversations.0.saved"),
        ([{"role": "root", "content": "a"}], "messages.0.role"),
        ([{"role": "user", "content": ["a"]}], "messages.0.content"),
        ([{"role": "user", "content": "a"}, {"role": "user"}], "messages.1.content"),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_place(
    saved: SavedConversations, content: Any, fault: str
) -> None:
    place = rf" \({fault} is at fault\)" if fault else ""
    with pytest.raises(BadRequest, match=rf"^This file is no conv[^.()]+{place}\.$"):
        saved.import_file(None, content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ENTRY = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]) | JSON, "content": st.text() | JSON}
)
CONVERSATION = st.fixed_dictionaries(
    {"messages": st.lists(ENTRY, max_size=4) | JSON},
    optional={"title": st.text() | JSON, "saved": st.datetimes().map(str) | JSON},
)


@given(
    JSON
    | st.lists(ENTRY, max_size=4)
    | st.lists(CONVERSATION, max_size=3).map(lambda many: file_of(*many))
)
@example([{"role": "user", "content": "\ud800"}])
@example(file_of({"saved": "0001-01-01T00:00:00+23:59", "messages": entries("a")}))
@example(file_of({"saved": 1e308, "messages": [{"role": "user", "content": "a"}]}))
@example(file_of({"saved": "0001-01-01T00:00Z", "messages": [{"role": "user", "content": "a"}]}))
@example(file_of({"title": "\ud800\x00\n", "messages": [{"role": "user", "content": "a\x1b[2J"}]}))
def test_any_file_is_refused_or_becomes_clean_conversations(
    saved: SavedConversations, content: Any
) -> None:
    try:
        loaded = saved.import_file("ann", content)
    except BadRequest:
        return
    for conversation in json.loads(json.dumps(loaded)):
        messages = saved.open("ann", conversation["text"])
        roles = [role for role, _ in messages]
        dialogue = roles["assistant" in roles[:1] :]  # after a greeting
        assert dialogue == (["user", "assistant"] * 4)[: len(dialogue)]
        assert all(content.strip() for _, content in messages)
        assert conversation["name"] == " ".join(conversation["name"].split()) != ""
        assert "\x1b" not in "".join(content for _, content in messages)
        assert isinstance(conversation["saved"], float | None)
