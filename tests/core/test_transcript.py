"""chat.core.transcript: conversations as files."""

import json
import re
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
                [entry("assistant", "a"), entry("assistant", "b")],
                [entry("system", "s"), entry("assistant", "a"), entry("assistant", "b")],
                [entry("user", "a"), entry("user", "b")],
                [entry("user", ["a"]), entry("assistant", "b")],
                [entry("root", "a"), entry("assistant", "b")],
                [entry("user", "a"), entry("assistant", "b"), entry("system", "c")],
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
        transcript.load(str(file))
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])
    assert file.read_bytes() == content


def exported(*conversations: list[dict[str, Any]]) -> str:
    content = [{"title": "One", "messages": messages} for messages in conversations]
    return json.dumps({"format": "fourbit-chat", "version": 1, "conversations": content})


def test_what_the_page_exported_is_loaded(tmp_path: Path) -> None:
    file = tmp_path / "exported.json"
    file.write_text(exported([entry("user", "a"), entry("assistant", "b")]))
    assert transcript.load(str(file)) == [Message("user", "a"), Message("assistant", "b")]


@pytest.mark.parametrize("number", [0, 2])
def test_only_one_conversation_can_be_gone_on_with(tmp_path: Path, number: int) -> None:
    file = tmp_path / "exported.json"
    file.write_text(exported(*[[entry("user", "a"), entry("assistant", "b")]] * number))
    with pytest.raises(BadRequest, match=f"holds {number} conversations; export the one"):
        transcript.load(str(file))
    with pytest.raises(BadRequest, match="is there already"):
        transcript.save(str(file), [])


@pytest.mark.parametrize("system", [[], [("system", "s")]])
@pytest.mark.parametrize("rest", [[], [("user", "a"), ("assistant", "b")]])
def test_a_greeting_of_the_assistants_is_kept(tmp_path: Path, system: Any, rest: Any) -> None:
    messages = [Message(*one) for one in [*system, ("assistant", "hello"), *rest]]
    file = str(tmp_path / "greeting.json")
    transcript.save(file, messages)
    assert transcript.load(file) == messages


def test_a_conversation_ends_with_a_reply(tmp_path: Path) -> None:
    file = tmp_path / "asked.json"
    file.write_text(json.dumps([entry("user", "a")]))
    with pytest.raises(BadRequest, match="ends with a message that has no reply"):
        transcript.load(str(file))


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "huge.json"
    file.write_text("[         ]")
    assert transcript.load(str(file)) == []
    monkeypatch.setattr(transcript, "LARGEST", 10)
    with pytest.raises(BadRequest, match="too large"):
        transcript.load(str(file))


def test_files_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "no" / "where")
    for file in (nowhere, str(tmp_path), "/dev/null", "a\0b"):
        with pytest.raises(BadRequest, match=re.escape(f"There is no file {file}.")):
            transcript.load(file)
    with pytest.raises(BadRequest, match=r"^x+ cannot be read \(File name too long\)\.$"):
        transcript.load("x" * 300)
    for file in (nowhere, str(tmp_path), "x" * 300, "a\0b"):
        with pytest.raises(BadRequest, match=re.escape(file)):
            transcript.save(file, [])


def test_control_characters_in_a_file_go_no_further(tmp_path: Path) -> None:
    file = tmp_path / "talk.json"
    file.write_text(json.dumps([entry("user", "a\x1b[2J"), entry("assistant", "\udcff")]))
    assert transcript.load(str(file)) == [Message("user", "a[2J"), Message("assistant", "\ufffd")]
