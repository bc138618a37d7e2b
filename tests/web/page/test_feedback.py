"""chat.web.page.feedback: ratings of replies."""

import json
import resource
from pathlib import Path

import pytest

from chat.errors import BadRequest, SettingsError
from chat.web.page import feedback as module
from chat.web.page.feedback import Feedback
from chat.web.page.history import entry
from tests.support.fakes import ScriptedEngine, chat_with

CHAT = chat_with(ScriptedEngine())
SAID = [entry("user", "Rain?"), entry("assistant", "Yes.")]


async def test_each_rating_is_a_line(tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    for good in (True, False):
        await Feedback(file, CHAT).add(None, SAID, good)
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert [line["good"] for line in lines] == [True, False]
    assert lines[0]["messages"] == [
        {"role": "user", "content": "Rain?"},
        {"role": "assistant", "content": "Yes."},
    ]
    assert lines[0]["model"] == "model"
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("history", [[], None, SAID[:1], "x"])
async def test_what_is_no_reply_cannot_be_rated(tmp_path: Path, history: object) -> None:
    file = tmp_path / "ratings.jsonl"
    with pytest.raises(BadRequest, match="no reply"):
        await Feedback(file, CHAT).add(None, history, True)
    assert file.read_bytes() == b""


async def test_the_file_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 300)
    feedback = Feedback(tmp_path / "ratings.jsonl", CHAT)
    await feedback.add(None, SAID, True)
    with pytest.raises(BadRequest, match="No more ratings"):
        await feedback.add(None, SAID, True)


async def test_a_full_disk_leaves_no_half_a_rating(tmp_path: Path) -> None:
    feedback = Feedback(tmp_path / "ratings.jsonl", CHAT)
    await feedback.add(None, SAID, True)
    there = (tmp_path / "ratings.jsonl").read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(there) + 9, hard))
    try:
        with pytest.raises(BadRequest, match=r"^Ratings cannot be kept at the moment\.$"):
            await feedback.add(None, SAID, True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "ratings.jsonl").read_bytes() == there
    await feedback.add(None, SAID, False)
    assert (tmp_path / "ratings.jsonl").read_bytes().count(b"\n") == 2


def test_a_file_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^--feedback cannot be written"):
        Feedback(tmp_path / "none" / "ratings.jsonl", CHAT)
