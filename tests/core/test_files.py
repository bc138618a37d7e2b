"""chat.core.files: what of a file's text a model has room for."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from chat.core import files, pdf
from chat.core.attached import split
from chat.errors import BadRequest
from prompts import Piece
from tests.support.fakes import CharTokens
from tests.support.pdf_file import pdf_of

TOKENS = CharTokens()


def file(name: str, data: bytes, window: int = 2000, used: int = 0) -> files.File:
    return files.fitted(name, files.read(name, data), TOKENS, window, used)


def test_a_text_stands_in_a_block_with_its_name_its_size_and_its_kind() -> None:
    found = file("rain.csv", b"year,rain\n2026,7\n")
    assert found.title == "rain.csv (16 tokens)"
    assert found.block == "File: rain.csv (16 tokens)\n```csv\nyear,rain\n2026,7\n```"
    assert found.tokens == 16
    assert split(found.block)[0][0].title == found.title


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("é".encode(), "é"),
        ("é".encode("utf-8-sig"), "é"),
        ("éa".encode("utf-16"), "éa"),
        ("Grüße".encode("cp1252"), "Grüße"),
        (b"a\r\nb\x1b[31m", "a\nb[31m"),
        (b"\n\n  a\n\n", "  a"),
    ],
)
def test_text_is_read_in_what_it_was_written(data: bytes, text: str) -> None:
    assert f"\n{text}\n" in file("a.txt", data).block


@pytest.mark.parametrize("data", [bytes(range(256)), b"\x89PNG\r\n\x1a\n" + bytes(99), b"\xff" * 9])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    if data == b"\xff" * 9:  # which is one, on Windows
        assert "ÿ" in file("a", data).block
        return
    with pytest.raises(BadRequest, match=r"^a\.png holds no text that can be read here\.$"):
        file("a.png", data)


@pytest.mark.parametrize("data", [b"", b" \n\t"])
def test_an_empty_file_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^a\.txt holds no text\.$"):
        file("a.txt", data)


def test_a_long_text_is_cut_at_a_line_and_says_so() -> None:
    text = "".join(f"line {number}\n" for number in range(300))
    found = file("a.log", text.encode(), window=400)
    size = len(text.strip())
    assert re.fullmatch(rf"a\.log \(the first \d+ of {size:,} tokens\)", found.title)
    assert 150 < found.tokens <= 200
    body = found.block.split("\n")[2:-1]
    assert body == text.split("\n")[: len(body)]


def test_of_a_text_too_long_to_be_counted_only_what_is_read_is_told() -> None:
    found = file("a.txt", b"a b c d " * 100_000, window=400)
    assert found.title == f"a.txt (the first {found.tokens} tokens)"


def test_a_text_that_is_dense_at_first_takes_few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting(CharTokens):
        rounds = 0

        def encode(self, pieces: Sequence[Piece]) -> list[int]:
            self.rounds += 1
            text = str(pieces[0])
            return [0] * sum(8 if letter == "a" else 1 for letter in text)

    tokens = Counting()
    text = "a" * 300 + "b" * 100_000
    assert files.fitted("a.txt", text, tokens, 4000).tokens <= 2000
    assert tokens.rounds < 15


def test_files_of_one_message_have_a_share_of_the_window_together() -> None:
    assert file("a.txt", b"a" * 500, window=1000, used=300).tokens == 200
    with pytest.raises(BadRequest, match=r"^There is no room for a\.txt: .* 500 tokens in all\.$"):
        file("a.txt", b"a", window=1000, used=450)


def test_a_name_is_a_line_of_text() -> None:
    assert file("a\nFile: b\n```", b"c").title == "a File: b ``` (1 token)"
    assert file("", b"c").title == "File (1 token)"


def test_a_pdf_is_read_page_by_page() -> None:
    found = file("a.pdf", pdf_of("Rain in spring", "Sun in June"))
    assert "\nRain in spring\n\nSun in June\n" in found.block


@pytest.mark.parametrize(
    "data", [b"%PDF-1.7\n", pdf_of("Rain")[:200], b"%PDF-1.7\n" + bytes(range(256)) * 99]
)
def test_a_damaged_pdf_is_refused(data: bytes) -> None:
    with pytest.raises(BadRequest, match=r"^a\.pdf (cannot be read: |holds no text)"):
        file("a.pdf", data)


def test_a_pdf_that_takes_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE", 0.01)
    with pytest.raises(BadRequest, match="would take too much"):
        file("a.pdf", pdf_of("Rain"))


def test_reading_a_pdf_has_limits() -> None:
    assert pdf.MEMORY <= 1_000_000_000
    assert "child.limit(MEMORY, SECONDS)" in Path(pdf.__file__).read_text("utf-8")
