"""Letters, and classes of them, in EBNF."""

import json
import re
from typing import Any

Range = tuple[int, int]
#: What matches without a letter.
NOTHING = '""'
#: What JSON does not show as it is, and halves of a letter.
HIDDEN = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)]


def literal(text: str) -> str:
    """Return what matches `text`: xgrammar writes `ö` as a number, and reads on from there."""
    pieces = re.findall(r"[ -~]+|[^ -~]", text)
    return " ".join('"' + re.sub(r'(["\\])', r"\\\1", piece) + '"' for piece in pieces) or NOTHING


def json_of(value: Any) -> str:
    """Return a value as JSON, without white space."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without(ranges: list[Range], holes: list[Range]) -> list[Range]:
    """Return the letters of `ranges` that are in none of the `holes`."""
    left = []
    for first, last in ranges:
        for start, end in sorted(holes):
            if first < start <= last:
                left.append((first, start - 1))
            first = max(first, end + 1) if start <= last else first
        if first <= last:
            left.append((first, last))
    return left


def class_of(ranges: list[Range]) -> str:
    """Return a class, in letters to have: what is not some letter is to xgrammar any bytes."""
    return "[" + "".join(_span(first, last) for first, last in ranges) + "]"


def _span(first: int, last: int) -> str:
    return _in_class(first) if first == last else f"{_in_class(first)}-{_in_class(last)}"


def _in_class(code: int) -> str:
    letter = chr(code)
    return f"\\{letter}" if letter in "\\]^-[" else letter
