"""prompts.texts: presets and examples, a file each."""

from pathlib import Path

import pytest

from prompts import FORMATS, PromptError
from prompts.texts import examples, presets


def test_a_file_more_is_a_preset_more(tmp_path: Path) -> None:
    (tmp_path / "strict-teacher.txt").write_text("Be strict.\n", "utf-8")
    (tmp_path / "pirate.txt").write_text("Arr.\nEach time.\n", "utf-8")
    (tmp_path / "notes.md").write_text("not one", "utf-8")
    assert presets(tmp_path) == {"Pirate": "Arr.\nEach time.", "Strict teacher": "Be strict."}


def test_examples_are_those_of_the_format_or_those_of_any_chat(tmp_path: Path) -> None:
    (tmp_path / "chat.txt").write_text("One\n\n Two \n", "utf-8")
    (tmp_path / "plain.txt").write_text("Once upon\n", "utf-8")
    assert examples("chatml", tmp_path) == ["One", "Two"]
    assert examples("plain", tmp_path) == ["Once upon"]


def test_without_files_there_are_none(tmp_path: Path) -> None:
    assert presets(tmp_path / "nowhere") == {}
    assert examples("plain", tmp_path / "nowhere") == []


def test_a_file_that_is_not_text_is_named_without_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "bad.txt").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(PromptError, match=r"^presets/bad\.txt cannot be read as UTF-8 text\.$"):
        presets(folder)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_examples(format: str) -> None:
    assert 3 <= len(examples(format)) <= 6
    assert all(len(example) < 80 for example in examples(format))


def test_there_are_presets_that_are_short() -> None:
    assert len(presets()) >= 3
    assert all(0 < len(text) < 400 for text in presets().values())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_file_may_be_in_what_other_editors_write(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "chat.txt").write_text("Zwei\r\n日本 🙂\r\n", encoding)
    (tmp_path / "pirate.txt").write_text("Arr, 日本.\n", encoding)
    assert examples("chatml", tmp_path) == ["Zwei", "日本 🙂"]
    assert presets(tmp_path)["Pirate"] == "Arr, 日本."
