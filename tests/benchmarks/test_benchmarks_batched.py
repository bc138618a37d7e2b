"""`python -m benchmarks.batched`, with the tiny model."""

import sys
from pathlib import Path

import pytest

from benchmarks import batched


def test_it_says_what_batching_brings(
    gguf: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", str(gguf), "--cache-dir", str(gguf.parent)]
    asked = ["--people=2", "--tokens=3", "--rounds=1", "--", *flags]
    monkeypatch.setattr(sys, "argv", ["benchmarks.batched", *asked])
    batched.main()
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")][1:]
    assert [row.split("|")[1].strip() for row in rows] == ["greedy"] * 4 + ["drawn"] * 4
    assert all(float(row.split("|")[3].replace(",", "")) > 0 for row in rows)
    assert [bool(row.split("|")[4].strip()) for row in rows] == [False, True] * 4
