"""chat.web.page.panel.seal: the key, and what it protects."""

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from chat.errors import BadRequest, SettingsError
from chat.web.page.panel import seal
from chat.web.page.panel.seal import Seal


def test_what_is_sealed_can_be_opened_after_a_restart(tmp_path: Path) -> None:
    sealed = Seal(tmp_path).close("My diary ☂", None)
    assert "diary" not in sealed
    assert sealed.isascii()
    assert Seal(tmp_path).open(sealed, None) == "My diary ☂"


def test_another_key_and_another_login_open_nothing(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    mine = Seal(tmp_path)
    sealed = mine.close("My diary", "ann")
    assert mine.open(sealed, "ann") == "My diary"
    for other, owner in ((mine, "bob"), (mine, None), (Seal(tmp_path / "other"), "ann")):
        with pytest.raises(BadRequest, match=r"^This conversation was saved with another key"):
            other.open(sealed, owner)


def test_only_its_owner_may_read_the_key_and_nothing_else_is_left(tmp_path: Path) -> None:
    Seal(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.name == seal.NAME
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_starts_at_once_agree_on_a_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        seals = list(pool.map(Seal, [tmp_path] * 8))
    sealed = seals[0].close("My diary", None)
    assert {one.open(sealed, None) for one in seals} == {"My diary"}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_drive_without_links_can_hold_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    sealed = Seal(tmp_path).close("My diary", None)
    assert Seal(tmp_path).open(sealed, None) == "My diary"
    assert [file.name for file in tmp_path.iterdir()] == [seal.NAME]


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 44, b"A" * 43, None])
def test_what_is_no_key_is_named_and_left_alone(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / seal.NAME
    file.mkdir() if content is None else file.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"^The key {seal.NAME} .*\.$") as caught:
        Seal(tmp_path)
    assert str(tmp_path) not in str(caught.value)
    assert content is None or file.read_bytes() == content


def test_a_key_with_a_line_end_from_an_editor_is_the_same(tmp_path: Path) -> None:
    sealed = Seal(tmp_path).close("My diary", None)
    file = tmp_path / seal.NAME
    file.write_bytes(file.read_bytes() + b"\n")
    assert Seal(tmp_path).open(sealed, None) == "My diary"


def test_what_could_not_come_back_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "LONGEST", 200)
    with pytest.raises(BadRequest, match="too long to be saved"):
        Seal(tmp_path).close("".join(map(chr, range(32, 332))), None)
    assert Seal(tmp_path).close("a" * 300, None)


def test_no_more_is_unpacked_than_is_wanted(tmp_path: Path) -> None:
    made = Seal(tmp_path)
    assert made.open(made.close("😀" * 50, None), None, most=200) == "😀" * 50
    for size in (201, 900_000):
        with pytest.raises(BadRequest):
            made.open(made.close("a" * size, None), None, most=200)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Seal:
    return Seal(tmp_path_factory.mktemp("data"))


@given(st.text() | st.binary() | st.none() | st.lists(st.text()))
def test_what_was_never_sealed_is_refused(made: Seal, forged: object) -> None:
    with pytest.raises(BadRequest):
        made.open(forged, None)


@pytest.fixture(scope="module")
def sealed(made: Seal) -> str:
    return made.close("My diary", None)


@given(st.integers(min_value=0), st.sampled_from("AZaz09-_"))
def test_what_was_changed_is_refused(made: Seal, sealed: str, at: int, letter: str) -> None:
    at %= len(sealed.rstrip("=")) - 1  # the last letter has bits that mean nothing
    assume(letter != sealed[at])
    with pytest.raises(BadRequest):
        made.open(sealed[:at] + letter + sealed[at + 1 :], None)


SECRET = "a secret of more than 32 characters"


def test_servers_with_the_same_secret_open_what_the_others_sealed(tmp_path: Path) -> None:
    sealed = Seal(tmp_path / "one", SECRET).close("My diary", "ann")
    assert Seal(tmp_path / "two", SECRET).open(sealed, "ann") == "My diary"
    assert list(tmp_path.iterdir()) == []  # nothing is written, and no folder needed


def test_another_secret_and_the_key_of_the_folder_open_nothing(tmp_path: Path) -> None:
    sealed = Seal(tmp_path, SECRET).close("My diary", None)
    for other in (Seal(tmp_path, SECRET + "s"), Seal(tmp_path)):
        with pytest.raises(BadRequest, match=r"^This conversation was saved with another key"):
            other.open(sealed, None)


def test_what_was_sealed_with_the_key_of_the_folder_is_not_opened_with_a_secret(
    tmp_path: Path,
) -> None:
    sealed = Seal(tmp_path).close("My diary", None)
    with pytest.raises(BadRequest, match=r"^This conversation was saved with another key"):
        Seal(tmp_path, SECRET).open(sealed, None)
    assert Seal(tmp_path).open(sealed, None) == "My diary"  # and it is still there
