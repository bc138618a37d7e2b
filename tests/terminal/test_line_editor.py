"""chat.terminal.line_editor: the lines of a pipe, whatever program writes them."""

import codecs
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chat.errors import BadRequest
from chat.terminal import line_editor
from chat.terminal.line_editor import from_pipe, from_terminal, whole_pipe


@pytest.fixture(name="piped")
def _piped(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have standard input hold these bytes, which end, in an encoding of the locale."""

    def piped(data: bytes, encoding: str = "utf-8") -> None:
        buffer = io.BufferedReader(io.BytesIO(data))
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(buffer, encoding, newline="\n"))

    return piped


@contextmanager
def open_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Have standard input be a pipe, and give the end to write into."""
    reading, writing = os.pipe()
    # Which ends lines as Python's own standard input does on Linux: with what is there.
    with open(reading, encoding="utf-8", newline="\n") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield writing


def lines() -> list[str]:
    """Return what is asked for until there is nothing, a refused line as its sentence."""
    ask, found = from_pipe(), []
    while True:
        try:
            found.append(ask(""))
        except EOFError:
            return found
        except BadRequest as error:
            found.append(str(error))
        assert len(found) < 20, "a bad line is refused once"


BOM = codecs.BOM_UTF8


@pytest.mark.parametrize(
    "data",
    [
        "clear\nzwei 日本 🙂\n".encode(),
        BOM + "clear\nzwei 日本 🙂\n".encode(),
        BOM + b"clear\n" + BOM + "zwei 日本 🙂".encode(),
        "clear\nzwei 日本 🙂\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "clear\nzwei 日本 🙂\n".encode("utf-16-be"),
        "clear\r\nzwei 日本 🙂\r\n".encode("utf-16"),
        "clear\r\nzwei 日本 🙂\r\n".encode(),
        "clear\nzwei 日本 🙂\n".encode("utf-16-le"),
        "clear\nzwei 日本 🙂\n".encode("utf-16-be"),
        "clear\nzwei 日本 🙂\n".encode("utf-32"),
        "\0cl\0ear\0\nzwei\0 日本 🙂\n\0".encode(),
    ],
)
@pytest.mark.parametrize("through", ["a file", "a pipe"])
def test_lines_are_as_they_were_written(
    data: bytes, through: str, piped: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if through == "a file":
        piped(data)
        assert [line for line in lines() if line] == ["clear", "zwei 日本 🙂"]
        return
    with open_pipe(monkeypatch) as writing:
        os.write(writing, data)
        os.close(writing)
        assert [line for line in lines() if line] == ["clear", "zwei 日本 🙂"]


def test_letters_whose_utf_16_has_the_byte_of_a_new_line_stay_in_their_line(
    piped: Callable[..., None],
) -> None:
    piped("a\u0a0ab\u010ac\nnext\n".encode("utf-16"))
    assert lines() == ["a\u0a0ab\u010ac", "next"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_each_line_is_had_while_the_pipe_stays_open(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = codecs.getincrementalencoder(encoding)()
    with open_pipe(monkeypatch) as writing:
        ask = from_pipe()
        for line in ("stop", "日本", ""):
            os.write(writing, writes.encode(f"{line}\n"))
            assert ask("") == line
        os.close(writing)
        with pytest.raises(EOFError):
            ask("")


def test_latin_1_is_one_sentence_a_line_and_the_lines_after_it_are_had(
    piped: Callable[..., None],
) -> None:
    piped(b"hello\nZw\xf6lf Gr\xfc\xdfe\nagain\n\xfcber\n" + "Zwölf\n".encode())
    first, sentence, third, same, last = lines()
    assert (first, third, last) == ("hello", "again", "Zwölf")
    assert sentence == same
    assert sentence.startswith("A line is not text in UTF-8")
    assert sentence.count(".") == 1
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "data", ["hi\n".encode("utf-16") + b"x", codecs.BOM_UTF16_LE + b"h\0\x00\xd8\n\0h\0i\0\n\0"]
)
def test_utf_16_that_breaks_off_or_has_half_a_character_is_refused_once(
    data: bytes, piped: Callable[..., None]
) -> None:
    piped(data)
    assert sum("not text" in line for line in lines()) == 1


def test_what_the_locale_says_holds_where_the_start_says_nothing(
    piped: Callable[..., None],
) -> None:
    piped("Zwölf\n".encode("latin-1"), "latin-1")
    assert lines() == ["Zwölf"]
    piped(BOM + "Zwölf\n".encode(), "latin-1")
    assert lines() == ["Zwölf"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_whole_text_is_read_however_it_is_encoded(
    encoding: str, piped: Callable[..., None]
) -> None:
    piped("Zwei\r\nZeilen, 日本\r\n".encode(encoding))
    assert whole_pipe() == "Zwei\nZeilen, 日本"


def test_a_whole_text_in_latin_1_is_one_sentence(piped: Callable[..., None]) -> None:
    piped(b"Zw\xf6lf")
    with pytest.raises(BadRequest, match=r"^The text is not text in UTF-8[^.\n]+\.$"):
        whole_pipe()


def test_a_terminal_that_knows_no_escape_sequences_gets_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """prompt_toolkit sees to it where it may choose by itself."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(line_editor, "PromptSession", lambda *_, **options: given.update(options))
    monkeypatch.setenv("TERM", "dumb")
    from_terminal()
    assert given["output"] is None
