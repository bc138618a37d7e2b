"""The weights of a safetensors folder, one at a time.

The format (huggingface/safetensors, README): the length of a header in eight bytes,
the header as JSON, and the values, which need no torch to be read so.
"""

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chat.models.unusable import damaged, unusable

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: What the values are stored as; bfloat16 is the upper half of a float32.
TYPES: dict[str, type[np.generic]] = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
#: The longest header, in bytes, as safetensors itself has it.
HEADER = 100_000_000


class Tensor(NamedTuple):
    """One of them, in its file."""

    file: Path
    #: As safetensors names it: F32, F16, BF16, or another that is not read here.
    kind: str
    shape: tuple[int, ...]
    #: Where in the file its values begin, in bytes.
    offset: int

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return the values, [rows, ...], of all rows or of some, in float32."""
        values = np.memmap(self.file, TYPES[self.kind], "r", self.offset, self.shape)[start:stop]
        if self.kind == "BF16":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values.astype(np.float32)


def tensors(folder: Path) -> dict[str, Tensor]:
    """Return the weights that transformers would read in `folder`, by name; none if there are none.

    Raises:
        ModelError: a file is missing or damaged.
    """
    return {name: tensor for file in files(folder) for name, tensor in header(file).items()}


def files(folder: Path) -> list[Path]:
    """Return the files that they lie in: one, or those that an index names.

    Raises:
        ModelError: one is missing, or the index is damaged.
    """
    whole, index = folder / WHOLE, folder / INDEX
    if whole.is_file() or not index.is_file():
        return [whole] if whole.is_file() else []
    try:
        names = sorted({*json.loads(index.read_text())["weight_map"].values()})
        found = [folder / name for name in names]
        if any(Path(name).name != name for name in names):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise unusable(f"{INDEX} is damaged") from None
    for file in found:
        if not file.is_file():
            raise unusable(f"{file.name} is missing, one of {len(found)} files of weights")
    return found


def header(file: Path) -> dict[str, Tensor]:
    """Return the weights in a file, by name, which take all of it and share none of it.

    Raises:
        ModelError: it is damaged.
    """
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            start, size = 8 + length, file.stat().st_size
            found = json.loads(opened.read(length)) if start <= size and length <= HEADER else {}
        found.pop("__metadata__", None)
        end = 0
        for facts in sorted(found.values(), key=lambda facts: facts["data_offsets"]):
            begin, stop = facts["data_offsets"]
            if begin != end or stop < begin or not _fits(facts, stop - begin):
                raise ValueError
            end = stop
        if not found or start + end != size:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(file) from None
    return {
        name: Tensor(file, facts["dtype"], (*facts["shape"],), start + facts["data_offsets"][0])
        for name, facts in found.items()
    }


def _fits(facts: dict[str, Any], size: int) -> bool:
    """Whether a tensor has so many bytes; of types that are not read here it may have any."""
    kind, shape = facts["dtype"], facts["shape"]
    if type(size) is not int or not all(type(length) is int and length >= 0 for length in shape):
        return False
    return kind not in TYPES or math.prod(shape) * np.dtype(TYPES[kind]).itemsize == size
