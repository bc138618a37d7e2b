"""chat.models.progress: bars for whoever watches, and nothing in a log."""

import io
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub.utils.tqdm import enable_progress_bars

from chat.models import progress


@pytest.fixture(autouse=True)
def _shown() -> None:
    """Whatever tests before have switched off."""
    enable_progress_bars()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_goes_as_far_as_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress.bar("Tuning", 4, " rounds") as shown:
        shown.update()
    assert "Tuning" in terminal.getvalue()
    assert "1/4" in terminal.getvalue()


@pytest.mark.parametrize("total", [0, 4])
def test_where_nobody_watches_or_nothing_is_done_there_is_none(
    monkeypatch: pytest.MonkeyPatch, total: int
) -> None:
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO() if total else Terminal())
    with progress.bar("Tuning", total, " rounds") as shown:
        shown.update()
    assert stream.getvalue() == ""


def test_what_is_written_shows_and_is_all_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setattr(progress, "PAUSE", 0.001)
    (tmp_path / "link").symlink_to(__file__)
    with progress.written(tmp_path, 4000, "Converting"):
        (tmp_path / "half").write_bytes(bytes(2000))
        while "2.00k/4.00k" not in terminal.getvalue():
            time.sleep(0.001)
        (tmp_path / "half").unlink()
    assert "4.00k/4.00k" in terminal.getvalue()


def test_an_error_ends_the_bar_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with pytest.raises(ZeroDivisionError), progress.written(tmp_path, 4000, "Converting"):
        raise ZeroDivisionError
    assert "4.00k/4.00k" not in terminal.getvalue()
