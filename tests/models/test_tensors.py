"""chat.models.tensors: a header of safetensors that says what cannot be."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from chat.errors import ModelError
from chat.models import tensors

BYTES = 16


def tensor(begin: Any, end: Any, *shape: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [*shape], "data_offsets": [begin, end]}


def written(folder: Path, header: Any) -> Path:
    """Return a file with a header, and so many bytes of values."""
    said = json.dumps(header).encode()
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(said)) + said + bytes(BYTES))
    return file


def test_each_is_where_it_says_in_whatever_order(tmp_path: Path) -> None:
    file = written(tmp_path, {"b": tensor(8, 16, 2), "a": tensor(0, 8, 1, 2)})
    found = tensors.header(file)
    assert {name: one.shape for name, one in found.items()} == {"a": (1, 2), "b": (2,)}
    assert file.stat().st_size - found["b"].offset == found["b"].offset - found["a"].offset == 8


@pytest.mark.parametrize(
    "header",
    [
        {"a": tensor(0, 16, 4), "b": tensor(0, 16, 4)},
        {"a": tensor(0, 12, 3), "b": tensor(8, 16, 2)},
        {"a": tensor(0, 4, 1), "b": tensor(8, 16, 2)},
        {"a": tensor(4, 16, 3)},
        {"a": tensor(0, 8, 2)},
        {"a": tensor(0, 16, 4), "b": tensor(16, 8, 2)},
        {"a": tensor(0, 1 << 40, 1 << 38)},
        {"a": tensor(0, 16, 1 << 40)},
        {"a": tensor(0, 16, -2, -2)},
        {"a": tensor(0, 16.0, 4)},
        {"a": tensor(0, 16, 4.0)},
        {"a": tensor(0, 16, "4")},
        {"a": tensor("0", "16", 4)},
        {"a": {}},
        {"a": 1},
        {},
        [],
    ],
    ids=str,
)
def test_values_that_cannot_be_there_are_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged, or was cut off\.$"):
        tensors.header(written(tmp_path, header))


def test_a_header_that_no_file_has_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, {"a": tensor(0, 16, 4)})
    assert tensors.header(file)
    monkeypatch.setattr(tensors, "HEADER", 10)
    with pytest.raises(ModelError, match="is damaged"):
        tensors.header(file)
    file.write_bytes(struct.pack("<Q", 1 << 62) + bytes(BYTES))
    with pytest.raises(ModelError, match="is damaged"):
        tensors.header(file)
