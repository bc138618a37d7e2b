"""The header of a GGUF file, held to the file before anything else reads it.

What reads these files believes what they say of themselves, and takes memory for it. So each count,
length and place is looked at first, in one pass over the bytes (ggml-org/ggml, docs/gguf.md).
"""

import mmap
import re
import struct
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from chat import child

#: What the process may take: bytes of memory, seconds of CPU time, and seconds on a busy machine.
MEMORY, SECONDS, PATIENCE = 1_000_000_000, 30, 120
#: Bytes of a number, by its type.
NUMBERS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY = 8, 9
#: More than these no model has; each entry of an array takes whoever reads it 700 bytes.
KEYS, TENSORS, ENTRIES, DIMENSIONS, NAME = 65_536, 1_000_000, 3_000_000, 4, 1_000
ARCHITECTURE = re.compile(r"[\w.-]{1,64}")


class Fault(ValueError):
    """What is wrong with a file, as the end of a sentence."""

    def __init__(self, text: str = "is not a GGUF file, or it is damaged or cut off") -> None:
        super().__init__(text)


def looked_at(file: Path) -> str | None:
    """Return what is wrong with the header of a file, as the end of a sentence; None if nothing is.

    A process with limits looks, once for each state of the file.
    """
    state = file.stat()
    return _looked_at(file.absolute(), state.st_size, state.st_mtime_ns) or None


@lru_cache(maxsize=256)
def _looked_at(file: Path, size: int, time: int) -> str:
    try:
        return child.answer(__name__, file, seconds=PATIENCE).decode()
    except child.Exceeded:
        return str(Fault())


def end(file: Path) -> int:
    """Return where the header of a file ends and its tensors begin, in bytes.

    Raises:
        Fault: something is wrong with it.
    """
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
            return _Header(m).end()
    except Fault:
        raise
    except (ValueError, LookupError, struct.error):
        raise Fault from None


class _Header:
    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 8
        version = data[4:8]
        #: struct's sign for the order of bytes.
        self._order = ">" if version[:2] == b"\0\0" else "<"
        if data[:4] != b"GGUF" or self._unpack("I", 4, version) not in (2, 3):
            raise ValueError
        self._entries = 0

    def end(self) -> int:
        tensors, keys = self._number("Q"), self._number("Q")
        if tensors > TENSORS or keys > KEYS:
            raise Fault("says that it has more than any model has")
        found: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text(NAME)
            found[key] = self._value(self._number("I"))
        architecture = found.get("general.architecture", "part")
        if not isinstance(architecture, str) or not ARCHITECTURE.fullmatch(architecture):
            raise Fault("does not say what model it is")
        align = found.get("general.alignment", 32)
        if not isinstance(align, int) or align < 1 or align & (align - 1):
            raise Fault("has tensors at places that cannot be")
        return self._tensors(tensors, align)

    def _tensors(self, count: int, align: int) -> int:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType  # which takes numpy

        names, spans = set(), []
        for _ in range(count):
            names.add(self._text(NAME))
            dimensions = self._number("I")
            if dimensions > DIMENSIONS:
                raise Fault("has tensors of more dimensions than any model has")
            values = 1
            for _ in range(dimensions):
                values *= self._number("Q")
            in_block, size = GGML_QUANT_SIZES[GGMLQuantizationType(self._number("I"))]
            spans.append((self._number("Q"), values // in_block * size))
        begin = -(-self._at // align) * align
        room = len(self._data) - begin
        if any(start + size > room for start, size in spans):
            raise Fault
        if len(names) < count or any(start % align for start, _ in spans):
            raise Fault("has two tensors of one name, or one at a place that cannot be")
        if sum(size for _, size in spans) > max(room, 0):
            raise Fault("has more than one tensor in one place")
        return begin

    def _value(self, type: int) -> Any:
        if type == STRING:
            return self._text(len(self._data))
        if type != ARRAY:
            value = self._take(NUMBERS[type])
            return int.from_bytes(value, "little" if self._order == "<" else "big")
        inner, count = self._number("I"), self._number("Q")
        self._entries += count
        if self._entries > ENTRIES:
            raise Fault("has longer lists than any model has")
        if inner == STRING:
            for _ in range(count):
                self._skip(self._number("Q"))
        else:
            self._skip(NUMBERS[inner] * count)
        return None

    def _text(self, longest: int) -> str:
        if (length := self._number("Q")) > longest:
            raise ValueError
        return self._take(length).decode()

    def _number(self, form: str) -> int:
        size = struct.calcsize(f"<{form}")
        return self._unpack(form, size, self._take(size))

    def _unpack(self, form: str, size: int, data: bytes) -> int:
        (number,) = struct.unpack(f"{self._order}{form}", data[:size])
        return int(number)

    def _take(self, size: int) -> bytes:
        start = self._at
        self._skip(size)
        return self._data[start : self._at]

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise ValueError


def main(file: str) -> None:
    """Say what is wrong with a file, or nothing."""
    child.limit(MEMORY, SECONDS)
    try:
        end(Path(file))
    except Fault as fault:
        print(fault, end="")


if __name__ == "__main__":
    main(sys.argv[1])
