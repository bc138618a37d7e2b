"""Models that more than one test module here needs, made once."""

import json
from pathlib import Path

import pytest

from chat.models import ir
from tests.support import gguf_file


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random two-layer Llama as a GGUF file."""
    return gguf_file.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="session")
def folder(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as OpenVINO reads it, with no end of its own."""
    _, converted = ir.tokenizer_and_folder(gguf, tmp_path_factory.mktemp("cache"))
    config = json.loads((converted / "config.json").read_text())
    (converted / "config.json").write_text(json.dumps({**config, "eos_token_id": None}))
    return converted
