"""chat.child: processes with limits."""

import os
import time
from pathlib import Path

import pytest

from chat import child

GLUTTON = "tests.support.glutton"


def test_what_it_writes_comes_back() -> None:
    assert child.answer(GLUTTON, "nothing", given="né".encode(), seconds=60) == "én".encode()


@pytest.mark.parametrize("what", ["memory", "time", "crash"])
def test_one_that_takes_too_much_or_dies_is_no_harm(what: str) -> None:
    begun = time.monotonic()
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, what, seconds=60)
    assert time.monotonic() - begun < 50


def test_one_that_waits_is_ended(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never")
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, "sleep", tmp_path / "never", seconds=0.5)


def test_it_writes_no_files(tmp_path: Path) -> None:
    with pytest.raises(child.Exceeded):
        child.answer(GLUTTON, "write", tmp_path / "file", seconds=60)
    assert not (tmp_path / "file").exists() or not (tmp_path / "file").read_bytes()


def test_no_secret_of_the_servers_is_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("HF_TOKEN", "CHAT_AUTH", "CHAT_API_KEY", "CHAT_CONVERSATIONS_KEY", "AWS_SECRET_KEY")
    for name in secrets:
        monkeypatch.setenv(name, "my secret")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    found = child.answer(GLUTTON, "environment", seconds=60).decode().split()
    assert "TOKENIZERS_PARALLELISM" in found
    assert not {*secrets} & {*found}
