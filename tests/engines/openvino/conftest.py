"""Engines that tests of OpenVINO share."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.openvino import LONG, Start, starting


@pytest.fixture(name="start")
def _start(folder: Path) -> Iterator[Start]:
    with starting(folder) as start:
        yield start


@pytest.fixture
def long(folder: Path, tmp_path: Path) -> Path:
    """The model with that window."""
    copy = shutil.copytree(folder, tmp_path / "long")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "max_position_embeddings": LONG}))
    return copy
