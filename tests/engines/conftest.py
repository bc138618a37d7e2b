"""The model that more than one test module here needs, made once."""

import json
import shutil
from pathlib import Path

import pytest

from chat.models import convert


@pytest.fixture(scope="session")
def folder(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as OpenVINO reads it, with no end of its own."""
    source = convert.place(gguf, gguf.parent, "ir")
    converted = shutil.copytree(source, tmp_path_factory.mktemp("cache") / "converted")
    config = json.loads((converted / "config.json").read_text())
    (converted / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
    return converted
