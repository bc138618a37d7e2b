"""chat.models.gguf_header: a header that says more than there is."""

import struct
from pathlib import Path

import pytest

from chat.errors import ModelError
from chat.models import gguf_header, parts
from tests.support import gguf_file

HUGE = (1 << 63) + 1


def text(letters: str) -> bytes:
    return struct.pack("<Q", len(letters)) + letters.encode()


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: str = "a", shape: tuple[int, ...] = (32,), kind: int = 0, at: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, at)


ARCHITECTURE = key("general.architecture", 8, text("llama"))


def header(
    *keys: bytes, tensors: tuple[bytes, ...] = (), counts: tuple[int, int] | None = None
) -> bytes:
    tensor_count, key_count = counts or (len(tensors), len(keys) + 1)
    begin = b"GGUF" + struct.pack("<IQQ", 3, tensor_count, key_count)
    return begin + ARCHITECTURE + b"".join([*keys, *tensors])


def array(kind: int, count: int, values: bytes = b"") -> bytes:
    return key("a", 9, struct.pack("<IQ", kind, count) + values)


ROOM = b"\0" * 256
HOSTILE = {
    "no bytes": b"",
    "another version": b"GGUF" + struct.pack("<IQQ", 9, 0, 0),
    "more tensors than letters": header(counts=(HUGE, 1)) + ROOM,
    "more keys than letters": header(counts=(0, HUGE)) + ROOM,
    "a name without an end": header(struct.pack("<Q", HUGE) + b"a") + ROOM,
    "a text without an end": header(key("a", 8, struct.pack("<Q", HUGE))) + ROOM,
    "a list without an end": header(array(4, HUGE)) + ROOM,
    "a list of nothing": header(array(8, 100_000_000)) + ROOM,
    "lists in lists": header(array(9, 1, struct.pack("<IQ", 9, 1) * 1000)) + ROOM,
    "an unknown type": header(key("a", 99, b"")) + ROOM,
    "no place for tensors": header(key("general.alignment", 4, struct.pack("<I", 0))) + ROOM,
    "an odd place for tensors": header(key("general.alignment", 4, struct.pack("<I", 33))) + ROOM,
    "a name with a sign for terminals": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + key("general.architecture", 8, text("\x1b[2J")),
    "a number for a name": b"GGUF"
    + struct.pack("<IQQ", 3, 0, 1)
    + key("general.architecture", 4, struct.pack("<I", 7)),
    "tensors beyond the end": header(tensors=(tensor(at=1 << 40),)) + ROOM,
    "a shape beyond all numbers": header(tensors=(tensor(shape=(HUGE, HUGE, HUGE)),)) + ROOM,
    "many dimensions": header(tensors=(tensor(shape=(1,) * 1000),)) + ROOM,
    "an unknown kind of numbers": header(tensors=(tensor(kind=4242),)) + ROOM,
    "two of one name": header(tensors=(tensor(), tensor(at=128))) + ROOM,
    "two in one place": header(tensors=(tensor("a"), tensor("b"), tensor("c"))) + ROOM,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_header_that_cannot_be_is_one_sentence(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(gguf_header.Fault):
        gguf_header.end(tmp_path / "model.gguf")


def test_so_it_is_for_whoever_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(HOSTILE["two in one place"])
    with pytest.raises(ModelError, match=r"^[^\n]*model\.gguf has more than one tensor in one pl"):
        parts.reader(file)


def test_what_a_model_has_is_where_it_says(tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", "Q4_1")
    assert gguf_header.end(file) == parts.reader(file).data_offset
    assert gguf_header.looked_at(file) is None


def test_one_that_was_changed_is_looked_at_again(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(header() + ROOM)
    assert gguf_header.looked_at(file) is None
    file.write_bytes(b"GGUF")
    assert gguf_header.looked_at(file) == str(gguf_header.Fault())


def test_layers_beyond_all_numbers_take_no_memory(tmp_path: Path) -> None:
    count = key("llama.block_count", 10, struct.pack("<Q", 10**12))
    (tmp_path / "model.gguf").write_bytes(header(count) + ROOM)
    reader = parts.reader(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match="layers by its description"):
        parts.require_whole("model.gguf", reader)
