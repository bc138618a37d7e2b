"""prompts.unicode: text from bytes, by how they begin."""

import pytest

from prompts.unicode import decode

TEXTS = ["hello\nworld", "hi", "{}", "Zwölf 日本 🙂", "", "[1, 2]"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_text_is_read_without_its_mark(text: str, encoding: str) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_told_by_two_letters(encoding: str) -> None:
    for text in ("hello", "hi", "{}", "Zwölf 日本 🙂"):
        assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("text", ["\0hello", "a\0b", "\0", "\0\0\0\0", "h\0\0h"])
def test_a_nul_here_and_there_is_no_utf_16(text: str) -> None:
    assert decode(text.encode()) == text


@pytest.mark.parametrize("data", [b"Zw\xf6lf", b"\xff\xfe\xfa", b"\xff", b"\x80abc", b"a\0b\0\0"])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(UnicodeDecodeError):
        decode(data)


def test_what_the_start_does_not_say_another_may() -> None:
    assert decode("ö".encode("latin-1"), "latin-1") == "ö"
    assert decode("ö".encode("utf-8-sig"), "latin-1") == "ö"
