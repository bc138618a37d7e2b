"""chat.models.heads: files of the hub with holes for weights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFWriter

from tests.support.hub import hub

PROGRAM = """
import json, sys
from pathlib import Path
from chat.models.heads import Heads
from chat.models.locate import locate

heads = Heads(Path(sys.argv[2]))
found = locate(sys.argv[1], Path(sys.argv[2]), cuda=False, heads=heads)
file = found if found.is_file() else found / "model.safetensors"
state = file.stat()
if found.is_file():
    from gguf import GGUFReader

    assert GGUFReader(found).fields["tokenizer.ggml.tokens"].contents()[-1] == "8999".zfill(200)
print(json.dumps([str(found), state.st_size, 512 * state.st_blocks, heads.missing_bytes]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of 64 MB: one weight in a safetensors file and in a GGUF file."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    size = 1 << 26
    header = json.dumps({"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}})
    whole = len(header).to_bytes(8, "little") + header.encode() + bytes(size)
    (folder / "model.safetensors").write_bytes(whole)
    writer = GGUFWriter(folder / "tiny.gguf", "llama")
    # Longer than what comes at a time.
    writer.add_token_list([f"{number:0200}" for number in range(9000)])
    writer.add_tensor_info("a", (size // 4,), np.dtype(np.float32), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with (folder / "tiny.gguf").open("ab") as file:
        file.write(bytes(size + 64))
    return folder


@pytest.mark.parametrize("name", ["owner/tiny", "owner/tiny:tiny.gguf"])
def test_of_a_large_file_the_head_is_downloaded_and_the_rest_is_a_hole(
    folder: Path, tmp_path: Path, name: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    def locate(**settings: str) -> list[Any]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM, name, str(scratch)],
            env={**kept, "HF_HOME": str(tmp_path / "home"), **settings},
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return list(json.loads(ended.stdout.splitlines()[-1]))

    with hub(tiny=folder) as (address, _):
        found, size, on_disk, missing = locate(HF_ENDPOINT=address)
    file = folder / ("tiny.gguf" if name.endswith("gguf") else "model.safetensors")
    assert found.startswith(str(scratch))
    assert size == missing == file.stat().st_size
    assert on_disk < 10e6
