"""chat.models.tokenizer: a model's tokenizer alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chat.errors import ModelError
from chat.models import convert, ir, tokenizer
from tests.support import gguf_file
from tests.support.hub import hub
from tests.support.tiny import chatml_tokenizer

FETCH = """
import sys
from pathlib import Path
from chat.models import tokenizer
source = tokenizer.find(sys.argv[1], Path(sys.argv[2]))
loaded, folder = tokenizer.load(source, Path(sys.argv[2]))
print(len(loaded), "torch" in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder, with weights that nobody needs."""
    made = tmp_path / "tiny"
    chatml_tokenizer().save_pretrained(made)
    (made / "config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"0" * 1000)
    (made / "original").mkdir()
    (made / "original" / "params.json").write_text("{}")
    return made


def fetched(name: str, cache: Path, endpoint: str) -> str:
    home = {"HF_HOME": str(cache / "hub"), "HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"}
    environment = {**os.environ, **home}
    program = [sys.executable, "-c", FETCH, name, str(cache)]
    return subprocess.run(
        program, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.parametrize("root", ["embedded", "SmolLM2-135M-Instruct.Q4_1"])
def test_the_embedded_model_is_known_by_both_its_names(root: str) -> None:
    assert tokenizer.named(root) == "embedded"


def test_a_hub_id_is_its_own_name_and_a_path_is_none() -> None:
    assert tokenizer.named("owner/name-1.5_b") == "owner/name-1.5_b"
    for root in ("", "name", "/models/name", "a/b/c", "../name", "owner/na me", "http://a/b"):
        with pytest.raises(ModelError, match="name it with --model"):
            tokenizer.named(root)


def test_only_small_files_of_a_model_on_the_hub_are_fetched(folder: Path, tmp_path: Path) -> None:
    with hub(tiny=folder) as (endpoint, asked):
        assert fetched("owner/tiny", tmp_path / "cache", endpoint) == (
            f"{len(chatml_tokenizer())} False"
        )
    files = {path.rpartition("/")[2] for path in asked if "/resolve/" in path}
    assert "tokenizer.json" in files
    assert not {"model.safetensors", "params.json"} & files


def test_of_a_gguf_file_there_the_head_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    gguf_file.write(tmp_path / "repository" / "tiny.gguf")
    with hub(tiny=tmp_path / "repository") as (endpoint, asked):
        for _ in range(2):
            assert fetched("owner/tiny:tiny.gguf", tmp_path / "cache", endpoint).endswith("False")
            count = len(asked)
        assert len(asked) == count
    assert not list((tmp_path / "cache").rglob("*.gguf"))


def test_a_folder_needs_no_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    loaded, where = tokenizer.load(tokenizer.find(str(folder), tmp_path), tmp_path)
    assert where == folder
    assert loaded.get_vocab() == chatml_tokenizer().get_vocab()


def test_a_gguf_file_is_read_once_and_not_where_it_is_converted_already(
    gguf: Path, tmp_path: Path
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf")
    loaded, where = tokenizer.load(tokenizer.find(str(file), tmp_path), tmp_path)
    assert where == convert.place(file, tmp_path, "tokenizer")
    assert loaded.get_vocab() == chatml_tokenizer().get_vocab()
    made = (where / "tokenizer.json").stat().st_mtime_ns
    assert tokenizer.load(file, tmp_path)[1] == where
    assert (where / "tokenizer.json").stat().st_mtime_ns == made
    assert tokenizer.load(gguf, gguf.parent)[1] == ir.place(gguf, gguf.parent)


def test_what_has_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        tokenizer.load(tmp_path / "folder", tmp_path)
    (tmp_path / "folder" / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="could not be loaded"):
        tokenizer.load(tmp_path / "folder", tmp_path)
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="has no tokenizer that can be read"):
        tokenizer.load(tmp_path / "broken.gguf", tmp_path)
    with pytest.raises(ModelError, match=r"no folder or \.gguf file"):
        tokenizer.find("./nothing", tmp_path)
