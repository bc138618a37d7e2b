"""The weights of a safetensors folder, one at a time.

The format (huggingface/safetensors, README): the length of a header in eight bytes,
the header as JSON, and the values, which need no torch to be read so.
"""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chat.models.unusable import damaged, unusable

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
#: What the values are stored as; bfloat16 is the upper half of a float32.
TYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


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
    return {name: tensor for file in files(folder) for name, tensor in _header(file).items()}


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
        found = [folder / Path(name).name for name in names]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise unusable(f"{INDEX} is damaged") from None
    for file in found:
        if not file.is_file():
            raise unusable(f"{file.name} is missing, one of {len(found)} files of weights")
    return found


def _header(file: Path) -> dict[str, Tensor]:
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            start, size = 8 + length, file.stat().st_size
            header = json.loads(opened.read(length)) if start <= size else {}
        header.pop("__metadata__", None)
        found = {
            name: Tensor(file, facts["dtype"], (*facts["shape"],), start + facts["data_offsets"][0])
            for name, facts in header.items()
        }
        complete = start + max(facts["data_offsets"][1] for facts in header.values()) == size
    except (ValueError, KeyError, TypeError, AttributeError):
        complete = False
    if not complete:
        raise damaged(file)
    return found
