"""Text from bytes: UTF-8, or the UTF-16 and UTF-32 that some programs write, told by its start."""

import codecs
import re

#: How a text begins that says what it is in; the longer ones first, which begin as others do.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BOM = "\ufeff"


def encoding(start: bytes, default: str = "utf-8") -> str:
    """Return what a text is in that begins with `start`, of which four bytes suffice.

    Without a byte order mark UTF-16 is told by two letters of ASCII.
    """
    for mark, name in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return name
    if re.match(rb"([^\0]\0){2}", start):
        return "utf-16-le"
    if re.match(rb"(\0[^\0]){2}", start):
        return "utf-16-be"
    return default


def decode(data: bytes, default: str = "utf-8") -> str:
    """Return the text in `data`, without its byte order mark.

    Raises:
        UnicodeDecodeError: it is no text.
    """
    return data.decode(encoding(data[:4], default))
