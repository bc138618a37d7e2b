"""chat.core.transcript: conversations as files."""

import json
import re
import resource
from pathlib import Path
from typing import Any

import pytest

from chat.core import transcript
from chat.errors import BadRequest
from prompts import Message


def entry(role: Any, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"{}",
        b"[1]",
        b'[{"role": "user"}]',
        *(
            json.dumps(entries).encode()
            for entries in (
                [entry("user", "a")],
                [entry("user", "a"), entry("user", "b")],
                [entry("root", "a"), entry("assistant", "b")],
                [entry("user", 5), entry("assistant", "b")],
                [entry("user", " "), entry("assistant", None)],
            )
        ),
    ],
)
def test_what_is_no_conversation_is_refused_and_not_written_over(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(content)
    with pytest.raises(BadRequest, match=rf"^{re.escape(str(file))} [^\n]+\.$"):
        transcript.read(str(file))
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([entry("assistant", "a"), entry("assistant", "b")], ["a:a\n\nb"]),
        (
            [entry("system", "s"), entry("assistant", "a"), entry("assistant", "b")],
            ["s:s", "a:a\n\nb"],
        ),
        ([entry("user", ["a"]), entry("assistant", "b")], ["u:a", "a:b"]),
        (
            [entry("user", "a"), entry("assistant", "b"), entry("system", "c")],
            ["s:c", "u:a", "a:b"],
        ),
        ({"model": "m", "messages": [entry("user", "a"), entry("assistant", "b")]}, ["u:a", "a:b"]),
        (
            {"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
            ["u:a", "a:b"],
        ),
    ],
)
def test_what_another_program_holds_is_loaded_and_not_written_over(
    tmp_path: Path, content: Any, expected: list[str]
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps(content))
    loaded = transcript.read(str(file))
    assert [f"{role[0]}:{text}" for role, text, *_ in loaded] == expected
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])
    assert json.loads(file.read_text()) == content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_what_was_saved_may_come_back_in_what_other_editors_write(
    tmp_path: Path, encoding: str
) -> None:
    file, messages = tmp_path / "talk.json", [Message("user", "日本"), Message("assistant", "🙂")]
    transcript.save(str(file), messages)
    file.write_text(file.read_text("utf-8"), encoding)
    assert transcript.read(str(file)) == messages
    transcript.save(str(file), messages)
    assert file.read_text("utf-8").startswith("[\n"), "it is ours, and may be saved over"


def test_the_one_conversation_that_there_is_is_taken_and_the_rest_said(tmp_path: Path) -> None:
    file, notes = tmp_path / "export.json", []
    good = [entry("user", "a"), {"role": "tool", "content": "x"}, entry("assistant", "b")]
    file.write_text(json.dumps([{"messages": good}, {"messages": []}, 5]))
    loaded = transcript.read(str(file), notes.append)
    assert loaded == [Message("user", "a"), Message("assistant", "b")]
    assert notes == [
        "Took 1 of 3 conversations; 1 holds no text; 1 cannot be read; "
        "1 message without text was left out."
    ]
    transcript.save(str(tmp_path / "mine.json"), loaded)
    transcript.read(str(tmp_path / "mine.json"), notes.append)
    assert len(notes) == 1, "of nothing left out nothing is said"


@pytest.mark.parametrize("ending", [".md", ".MD", ".markdown"])
def test_a_name_of_markdown_gets_markdown_that_only_markdown_of_ours_is_saved_over(
    tmp_path: Path, ending: str
) -> None:
    file = tmp_path / f"my talk{ending}"
    transcript.save(str(file), [Message("user", "日本"), Message("assistant", "# Plan")])
    shown = "# my talk\n\n## User\n\n日本\n\n## Assistant\n\n### Plan\n"
    assert file.read_text("utf-8") == shown
    transcript.save(str(file), [Message("system", "x")])
    assert file.read_text("utf-8") == "# my talk\n\n## System\n\nx\n"
    for other in (b"# Notes\n\nmine\n", b"\xff\xfe", b"", b'[{"role": "user", "content": "a"}]'):
        file.write_bytes(other)
        with pytest.raises(BadRequest, match="is there already"):
            transcript.save(str(file), [])
        assert file.read_bytes() == other


def exported(*conversations: list[dict[str, Any]]) -> str:
    content = [{"title": "One", "messages": messages} for messages in conversations]
    return json.dumps({"format": "fourbit-chat", "version": 1, "conversations": content})


def test_what_the_page_exported_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "exported.json"
    file.write_text(exported([entry("user", "a"), entry("assistant", "b")]))
    content = file.read_text()
    assert transcript.read(str(file)) == [Message("user", "a"), Message("assistant", "b")]
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])
    assert file.read_text() == content, "which may hold other versions too"


@pytest.mark.parametrize("number", [0, 2])
def test_only_one_conversation_can_be_gone_on_with(tmp_path: Path, number: int) -> None:
    file = tmp_path / "exported.json"
    file.write_text(exported(*[[entry("user", "a"), entry("assistant", "b")]] * number))
    with pytest.raises(BadRequest, match=f"holds {number} conversations; export the one"):
        transcript.read(str(file))
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])


@pytest.mark.parametrize("system", [[], [("system", "s")]])
@pytest.mark.parametrize("rest", [[], [("user", "a"), ("assistant", "b")]])
def test_a_greeting_of_the_assistants_is_kept(tmp_path: Path, system: Any, rest: Any) -> None:
    messages = [Message(*one) for one in [*system, ("assistant", "hello"), *rest]]
    file = str(tmp_path / "greeting.json")
    transcript.save(file, messages)
    assert transcript.read(file) == messages


def test_a_conversation_ends_with_a_reply(tmp_path: Path) -> None:
    file = tmp_path / "asked.json"
    file.write_text(json.dumps([entry("user", "a")]))
    with pytest.raises(BadRequest, match="ends with a message that has no reply"):
        transcript.read(str(file))


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "huge.json"
    file.write_text("[         ]")
    assert transcript.read(str(file)) == []
    monkeypatch.setattr(transcript, "LARGEST", 10)
    with pytest.raises(BadRequest, match="too large"):
        transcript.read(str(file))


def test_files_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "where")
    for file in (nowhere, str(tmp_path), "/dev/null", "a\0b"):
        with pytest.raises(BadRequest, match=re.escape(f"There is no file {file}.")):
            transcript.read(file)
    with pytest.raises(BadRequest, match=r"^x+ cannot be read \(File name too long\)\.$"):
        transcript.read("x" * 300)
    for file in (nowhere, str(tmp_path), "x" * 300, "a\0b"):
        with pytest.raises(BadRequest, match=re.escape(file)):
            transcript.save(file, [])


def test_control_characters_in_a_file_go_no_further(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([entry("user", "a\x1b[2J"), entry("assistant", "\udcff")]))
    assert transcript.read(str(file)) == [Message("user", "a[2J"), Message("assistant", "\ufffd")]


TAGGED = "<think>\nHm.\n</think>\n\nHello"


def test_thoughts_are_saved_and_loaded(tmp_path: Path) -> None:
    talk = [Message("user", "Hi"), Message("assistant", "Hello", thought="Hm.")]
    file = str(tmp_path / "talk.json")
    transcript.save(file, talk)
    assert transcript.read(file) == talk
    tagged = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": TAGGED}]
    Path(file).write_text(json.dumps({"messages": tagged}), "utf-8")
    assert transcript.read(file) == talk


def test_what_cannot_be_saved_leaves_what_was_saved_before(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    transcript.save(str(file), [Message("user", "a"), Message("assistant", "b")])
    file.chmod(0o600)
    saved = file.read_bytes()
    with pytest.raises(BadRequest, match="cannot be written"):
        transcript.save(str(file), [Message("user", "\udcff")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))  # as on a disk that is full
    try:
        with pytest.raises(BadRequest, match=r"cannot be written \(File too large\)"):
            transcript.save(str(file), [Message("user", "a" * 100)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == saved
    link = tmp_path / "link.json"
    link.symlink_to(file)
    transcript.save(str(link), [])
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("[]\n", 0o600)
    assert sorted(tmp_path.iterdir()) == [link, file]
    assert link.is_symlink()
