"""chat.web.page.panel.saved: what the page asks about its conversations."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chat.core.export import DEEPEST, MOST_WAYS
from chat.core.imports import apart
from chat.core.made import Made
from chat.core.title import LONGEST as LONGEST_TITLE
from chat.errors import BadRequest
from chat.web.guard import MAX_IMPORT
from chat.web.page.escape import MARK
from chat.web.page.history import Thought, entry
from chat.web.page.messages import shown
from chat.web.page.panel import saved as module
from chat.web.page.panel.saved import (
    LARGEST_IMPORT,
    MOST_CONVERSATIONS,
    SavedConversations,
)
from chat.web.page.panel.seal import LONGEST, Seal
from prompts import Message
from tests.support.exports import WRITTEN

TALK = [Message("user", "Rain or snow?"), Message("assistant", "Rain.")]


def entries(*contents: str) -> list[dict[str, Any]]:
    return [
        {"role": ("user", "assistant")[index % 2], "content": [{"type": "text", "text": content}]}
        for index, content in enumerate(contents)
    ]


def file_of(*conversations: Any) -> dict[str, Any]:
    return {"format": "fourbit-chat", "version": 1, "conversations": list(conversations)}


def file(content: Any, name: str = "talk.json") -> tuple[str, str]:
    """Return a file as the browser sends it: its name, and its bytes in base 64."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return name, b64encode(data).decode()


def imported(saved: SavedConversations, content: Any, owner: str | None = None) -> Any:
    return saved.import_files(owner, [file(content)])["conversations"]


def sealed_as(
    saved: SavedConversations, owner: str | None, history: Any, system: str | None = None
) -> Any:
    """Seal a history that has no other versions."""
    return saved.seal(owner, {"messages": history}, system)


def opened(saved: SavedConversations, owner: str | None, text: str) -> list[Message]:
    return [entry.message for entry in saved.open(owner, text).messages]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> SavedConversations:
    return SavedConversations(Seal(tmp_path_factory.mktemp("data")))


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


def answer_here(module: str, *, given: bytes, seconds: float) -> bytes:
    assert module == apart.__name__
    return json.dumps(apart._read(*json.loads(given))).encode()


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
    with pytest.MonkeyPatch.context() as patch:  # in this process, since each takes half a second
        patch.setattr("chat.child.answer", answer_here)
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


# Versions


def way(*contents: str, **more: Any) -> dict[str, Any]:
    return {"messages": entries(*contents), **more}


HOW = {
    "model": "model",
    "ended": "stop",
    "prompt_tokens": 12,
    "dropped_turns": 0,
    "tokens": 3,
    "thought_tokens": 0,
    "first_token": 0.25,
    "seconds": 1.5,
    "window": 2000,
    "controls": {"temperature": 0.5, "stop": "a"},
}


def test_versions_and_how_replies_were_made_are_saved_exported_and_imported(
    saved: SavedConversations,
) -> None:
    inner = way("X", "Y", versions=[{"at": 1, "ways": [way("Z"), None]}])
    said = {
        **way("A", "B < c"),
        "made": [None, HOW],
        "versions": [{"at": 0, "ways": [inner, None]}, {"at": 1, "ways": [None, way("C")]}],
    }
    sealed = saved.seal(None, said, "Obey.")
    assert sealed is not None
    found = saved.open(None, sealed["text"])
    assert [fork.at for fork in found.versions] == [0, 1]
    first, none = found.versions[0].ways
    assert first is not None
    assert none is None
    assert [entry.content for entry in first.messages] == ["X", "Y"]
    assert found.messages[2].made == Made(**HOW)
    file = saved.export(None, sealed["title"], sealed["text"], "2026-01-31T12:00:00Z")
    assert [one["content"] for one in file["conversations"][0]["messages"]] == [
        "Obey.",
        "A",
        "B < c",
    ]
    (again,) = imported(saved, file)
    opened_again = saved.open(None, again["text"])
    assert opened_again.versions[1] == found.versions[1]
    assert opened_again.versions[0].ways[0] == first


@pytest.mark.parametrize(
    "more",
    [
        {"versions": [{"at": 7, "ways": [None, way("C")]}]},
        {"versions": [{"at": 1, "ways": [None, {"messages": []}]}]},
        {"versions": [{"at": 1, "ways": [way("C"), way("D")]}]},
        {"versions": [{"at": 1, "ways": [None, None]}]},
        {"versions": [{"at": "0", "ways": []}, {}, 7, None]},
        {"made": [HOW]},
        {"made": [None, {**HOW, "tokens": -1}]},
        {"made": [None, {**HOW, "controls": {"stop": "a" * 201}}]},
        {"made": [None, 7]},
        {"made": [None, {**HOW, "prompt_tokens": 10**30}]},
        {"made": [None, {**HOW, "seconds": float("inf")}]},
        {"made": [None, {**HOW, "controls": {"a" * 201: 1}}]},
    ],
)
def test_versions_that_are_none_are_left_out(
    saved: SavedConversations, more: dict[str, Any]
) -> None:
    sealed = saved.seal(None, {**way("A", "B"), **more})
    assert sealed is not None
    found = saved.open(None, sealed["text"])
    assert found.versions == []
    assert [entry.made for entry in found.messages] == [None, None]


def test_there_are_only_so_many_versions(saved: SavedConversations) -> None:
    ways = [None, *([way("C")] * (MOST_WAYS - 1))]
    assert saved.seal(None, {**way("A", "B"), "versions": [{"at": 1, "ways": ways}]})
    for more in ([*ways, way("C"), way("C")], [{}] * 300_000):
        with pytest.raises(BadRequest, match="too many versions"):
            saved.seal(None, {**way("A", "B"), "versions": [{"at": 1, "ways": more}]})
    said = {"messages": [{"role": "user", "content": "A"}]}
    several = {**said, "versions": [{"at": 0, "ways": [None, *([said] * (MOST_WAYS + 1))]}]}
    (again,) = imported(saved, file_of(several))
    assert saved.open(None, again["text"]).versions == []


def test_versions_inside_of_versions_have_an_end(saved: SavedConversations) -> None:
    said = way("A")
    for _ in range(DEEPEST):
        said = way("A", versions=[{"at": 0, "ways": [None, said]}])
    assert saved.seal(None, said) is not None
    with pytest.raises(BadRequest, match="too many versions"):
        saved.seal(None, way("A", versions=[{"at": 0, "ways": [None, said]}]))
