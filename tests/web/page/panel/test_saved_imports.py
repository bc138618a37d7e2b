"""chat.web.page.panel.saved: files that are exported, and those that people bring."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.errors import BadRequest
from chat.web.guard import MAX_IMPORT
from chat.web.page.panel.saved import (
    LARGEST_IMPORT,
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.panel.seal import LONGEST
from prompts import Message
from tests.support.exports import WRITTEN
from tests.support.saved import TALK, entries, file, file_of, imported, opened, sealed_as

pytestmark = pytest.mark.usefixtures("read_here")


def test_what_is_exported_is_imported_as_it_was(saved: SavedConversations) -> None:
    title = saved.rename(None, "Weather")["title"]
    sealed = sealed_as(saved, None, [message.entry for message in TALK])
    assert sealed is not None
    content = saved.export(None, title, sealed["text"], "2026-01-31T12:00:00.500Z")
    assert content == file_of(
        {
            "title": "Weather",
            "saved": "2026-01-31T12:00:00.500000Z",
            "messages": [message.entry for message in TALK],
        }
    )
    (loaded,) = imported(saved, content)
    assert (loaded["name"], loaded["saved"]) == ("Weather", 1769860800500)
    assert saved.names(None, [loaded["title"]]) == ["Weather"]
    assert opened(saved, None, loaded["text"]) == TALK


def test_a_file_of_the_terminal_is_imported_with_its_system_prompt(
    saved: SavedConversations,
) -> None:
    messages = [Message("system", "Rhyme."), *TALK]
    (loaded,) = imported(saved, [message.entry for message in messages])
    assert (loaded["name"], loaded["saved"]) == ("Rain or snow?", None)
    assert opened(saved, None, loaded["text"]) == messages


def test_a_system_prompt_is_kept_and_exported(saved: SavedConversations) -> None:
    said = [message.entry for message in TALK]
    sealed = sealed_as(saved, None, said, " Rhyme.\x00\n")
    assert sealed is not None
    assert sealed["name"] == "Rain or snow?"
    assert opened(saved, None, sealed["text"]) == [Message("system", "Rhyme."), *TALK]
    content = saved.export(None, sealed["title"], sealed["text"], "2026-01-31T12:00:00Z")
    assert content["conversations"][0]["messages"] == [
        {"role": "system", "content": "Rhyme."},
        *said,
    ]
    assert sealed_as(saved, None, [], "Rhyme.") is None


def test_that_somebody_wanted_no_system_prompt_is_kept_and_not_exported(
    saved: SavedConversations,
) -> None:
    sealed = sealed_as(saved, None, [message.entry for message in TALK], "")
    assert sealed is not None
    assert opened(saved, None, sealed["text"]) == [Message("system", ""), *TALK]
    content = saved.export(None, sealed["title"], sealed["text"], "2026-01-31T12:00:00Z")
    assert [entry["role"] for entry in content["conversations"][0]["messages"]] == [
        "user",
        "assistant",
    ]
    assert "## System" not in saved.markdown(None, sealed["title"], sealed["text"])


def test_markdown_is_what_the_terminal_saves(saved: SavedConversations) -> None:
    sealed = sealed_as(saved, None, [message.entry for message in TALK], "Rhyme.")
    assert sealed is not None
    title = saved.rename(None, "Weather")["title"]
    assert saved.markdown(None, title, sealed["text"]) == (
        "# Weather\n\n## System\n\nRhyme.\n\n## User\n\nRain or snow?\n\n## Assistant\n\nRain.\n"
    )


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_what_programs_write_is_imported(
    saved: SavedConversations, name: str, encoding: str
) -> None:
    taken = saved.import_files(None, [file(json.dumps(WRITTEN[name]).encode(encoding))])
    assert taken["sentence"].startswith("Imported 1 conversation")
    (loaded,) = taken["conversations"]
    thought = "Hm." * (name in ("LibreChat", "DeepSeek"))
    assert opened(saved, None, loaded["text"]) == [
        Message("user", "A poem?"),
        Message("assistant", "Drops on the window.", thought=thought),
    ]


def test_what_is_not_taken_is_counted_with_the_reason(saved: SavedConversations) -> None:
    good, empty = {"messages": [{"role": "user", "content": "Hi"}]}, {"messages": []}
    long = {"messages": [{"role": "user", "content": "a" * (LONGEST + 1)}]}
    lines = [*map(json.dumps, [good, empty, long, long, good]), '{"messages": [']
    taken = saved.import_files(None, [file("\n".join(lines).encode())])
    assert taken["sentence"] == (
        "Imported 2 of 6 conversations; 1 holds no text; 1 cannot be read; "
        "2 are too long to be saved."
    )
    assert [one["name"] for one in taken["conversations"]] == ["Hi", "Hi"]


def test_what_is_as_long_as_can_be_is_taken(saved: SavedConversations) -> None:
    room = LONGEST - len(json.dumps([{"role": "user", "content": ""}]))
    for content in ("a" * room, "é" * (room // 2)):
        (loaded,) = imported(saved, [{"role": "user", "content": content}])
        assert opened(saved, None, loaded["text"]) == [Message("user", content)]
    many = [{"role": ("user", "assistant")[at % 2], "content": "a"} for at in range(LONGEST // 30)]
    for messages in (
        [{"role": "user", "content": "a" * (room + 1)}],
        [{"role": "user", "content": "é" * (room // 2 + 1)}],
        many,
    ):
        with pytest.raises(BadRequest, match=r"^This conversation is too long\.$"):
            imported(saved, messages)


def test_not_more_are_taken_at_once_than_the_page_asks_about(saved: SavedConversations) -> None:
    half = [{"messages": [{"role": "user", "content": "Hi"}]}] * (MOST_CONVERSATIONS // 2)
    taken = saved.import_files(None, [file(half), file(half), file(half[:1])])
    assert len(taken["conversations"]) == MOST_CONVERSATIONS
    assert taken["sentence"] == (
        "Imported 1,000 of 1,001 conversations; "
        "1 is one more than the 1,000 that are taken at once."
    )


HI = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([file(HI, "a.json"), file(HI, "b.json")], "Imported 2 conversations."),
        (
            [file(HI, "a.json"), file(b"", "b.json"), file(b"# Hi", "c.md")],
            "Imported 1 conversation.\nb.json is empty.\nc.md is not JSON in UTF-8.",
        ),
        (
            [file(HI, "a"), *(file(b"x", f"{letter}\n.txt") for letter in "bcde")],
            "Imported 1 conversation.\nb .txt is not JSON in UTF-8.\nc .txt is not JSON in UTF-8."
            "\nd .txt is not JSON in UTF-8.\ne .txt is not JSON in UTF-8.",
        ),
        (
            [*(file(b"x", letter) for letter in "bcdef"), file(HI, "a")],
            "Imported 1 conversation.\nb is not JSON in UTF-8.\nc is not JSON in UTF-8."
            "\nd is not JSON in UTF-8.\n2 more files cannot be taken either.",
        ),
    ],
)
def test_of_several_files_each_that_holds_nothing_is_named(
    saved: SavedConversations, files: Any, sentence: str
) -> None:
    assert saved.import_files(None, files)["sentence"] == sentence


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([file(b"")], "This file is empty."),
        ([file(b" \r\n")], "This file is empty."),
        ([file("\ufeff\n".encode("utf-16-le"))], "This file is empty."),
        ([file(b"\xef\xbb\xbf")], "This file is empty."),
        (
            [file(b"PK\x03\x04...")],
            "This file is packed; unpack it, and import the JSON files in it.",
        ),
        ([file(file_of())], "This file holds no conversations."),
        ([file([])], "This file holds no text."),
        ([file(b"\xff<script>")], "This file is not JSON in UTF-8."),
        ([file(b"", "a"), file(b"x", "b")], "a is empty.\nb is not JSON in UTF-8."),
    ],
)
def test_where_nothing_can_be_taken_it_is_said_why(
    saved: SavedConversations, files: Any, sentence: str
) -> None:
    with pytest.raises(BadRequest) as caught:
        saved.import_files(None, files)
    assert str(caught.value) == sentence


def test_the_largest_files_come_through_the_limit_on_requests() -> None:
    assert LARGEST_IMPORT * 4 / 3 + 100_000 < MAX_IMPORT


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, ""),
        ({}, "format"),
        ({**file_of(1), "format": "other-chat"}, "format"),
        ({**file_of(), "version": 2}, "version"),
        (file_of(1), "conversations.0"),
        (file_of({"title": 1, "messages": []}), "conversations.0.title"),
        (file_of({"saved": "soon", "messages": []}), "conversations.0.saved"),
        (file_of({"saved": "2026-01-31T12:00:00", "messages": []}), "conversations.0.saved"),
        ([1], "messages.0"),
        ([{"role": "root", "content": "a"}], ""),
        ([{"role": "user", "content": 1}], ""),
        ([{"role": "user", "content": "a"}, {"role": "user"}], ""),
    ],
)
def test_what_is_no_conversation_is_refused_with_its_place(
    saved: SavedConversations, content: Any, fault: str
) -> None:
    place = rf" \({fault} is at fault\)" if fault else ""
    with pytest.raises(BadRequest, match=rf"^This file is no conv[^.()]+{place}\.$"):
        imported(saved, content)


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
        loaded = imported(saved, content, "ann")
    except BadRequest:
        return
    for conversation in json.loads(json.dumps(loaded)):
        messages = opened(saved, "ann", conversation["text"])
        roles = [role for role, *_ in messages]
        roles = roles["system" in roles[:1] :]
        dialogue = roles["assistant" in roles[:1] :]  # after a greeting
        assert dialogue == (["user", "assistant"] * 4)[: len(dialogue)]
        assert all(content.strip() for _, content, *_ in messages)
        assert conversation["name"] == " ".join(conversation["name"].split()) != ""
        assert "\x1b" not in "".join(content for _, content, *_ in messages)
        assert isinstance(conversation["saved"], float | None)
