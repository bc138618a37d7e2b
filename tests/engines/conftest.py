"""The model that more than one test module here needs, made once."""

from pathlib import Path

import pytest

from chat.models import ir
from tests.support.gguf_file import without_end


@pytest.fixture(scope="session")
def folder(gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as OpenVINO reads it, with no end of its own."""
    return without_end(ir.place(gguf, gguf.parent), tmp_path_factory.mktemp("cache") / "converted")
