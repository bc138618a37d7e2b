"""Files of conversations, read in a process of its own: anyone may have written them.

25 MB of JSON can be made to take a gigabyte and most of a minute, in which Python answers
nobody else. So it has limits, and what comes back is text that nobody here has to take apart.
"""

import json
import os
import sys
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from chat import child
from chat.core import imports
from chat.core.export import Branch, Exported
from chat.core.title import first_words, line
from chat.errors import UNREADABLE, BadRequest

#: What a process may take: bytes of memory, seconds of CPU time, and seconds on a busy machine.
MEMORY, SECONDS, PATIENCE = 1_000_000_000, 20, 90
#: How a ZIP file begins, as ChatGPT's and Claude's exports come.
ZIP = b"PK\x03\x04"


class Read(NamedTuple):
    """One conversation as it was read."""

    title: str
    #: What is saved of it (`chat.core.export.Branch`), or None if it is too long.
    text: str | None
    #: When it was changed last, in milliseconds since 1970.
    saved: float | None


class Files(NamedTuple):
    """What was in files."""

    conversations: list[Read]
    left: Counter[imports.Reason]
    #: A sentence for each file in which there was none.
    refused: list[str]


def read(files: Sequence[tuple[str, str]], longest: int) -> Files:
    """Return the conversations in files, each of which is its name and its bytes in base 64.

    Those whose text has more than `longest` bytes are too long.

    Raises:
        BadRequest: they take too much to be read, or are no files.
    """
    if not all(isinstance(part, str) for name, content in files for part in (name, content)):
        raise BadRequest(UNREADABLE)
    given = json.dumps([files, longest]).encode()
    try:
        said = json.loads(child.answer(__name__, given=given, seconds=PATIENCE))
    except child.Exceeded:
        raise BadRequest(
            f"{'These files' if len(files) > 1 else 'This file'} cannot be read: it would take too "
            "much time or memory."
        ) from None
    conversations, left, refused = said
    return Files([Read(*one) for one in conversations], Counter(left), refused)


def _read(files: Sequence[tuple[str, str]], longest: int) -> Files:
    found: list[Exported] = []
    left: Counter[imports.Reason] = Counter()
    refused: list[str] = []
    for name, content in files:
        try:
            taken = _take(_bytes(content), line(name) if len(files) > 1 else "This file")
            found += taken.conversations
            left += taken.left
        except BadRequest as error:
            refused.append(str(error))
    left["too many"] += len(found[imports.MOST :])
    return Files([_as_read(one, longest) for one in found[: imports.MOST]], left, refused)


def _bytes(content: str) -> bytes:
    try:
        return b64decode(content)
    except ValueError:
        raise BadRequest(UNREADABLE) from None


def _take(data: bytes, file: str) -> imports.Taken:
    """Return the conversations in a file.

    Raises:
        BadRequest: there is none that can be taken.
    """
    if not data.strip(b" \t\r\n\0\xef\xbb\xbf\xff\xfe"):
        raise BadRequest(f"{file} is empty.")
    if data.startswith(ZIP):
        raise BadRequest(f"{file} is packed; unpack it, and import the JSON files in it.")
    taken = imports.take(data, file)
    if not taken.conversations:
        raise BadRequest(f"{file} holds no conversations.")
    return taken


def _as_read(found: Exported, longest: int) -> Read:
    messages = [entry.message for entry in found.messages]
    text = Branch(messages=found.messages, versions=found.versions).text
    saved = found.saved.timestamp() * 1000 if found.saved else None
    fits = len(text.encode()) <= longest
    return Read(found.title or first_words(messages), text if fits else None, saved)


def main() -> None:
    """Read what is given, within limits, and write what was in it."""
    os.nice(10)
    child.limit(MEMORY, SECONDS)
    given: Any = json.load(sys.stdin.buffer)
    json.dump(_read(*given), sys.stdout)


if __name__ == "__main__":
    main()
