"""Texts that come with a message: each stands before it, in a block of its own.

    File: report.csv (1,234 tokens)
    ```csv
    year,rain
    ```

So a message with files is a text like any other: in a prompt, in an export, and when it is saved.
"""

import re
from typing import NamedTuple

#: Matches a block at the beginning of a message.
BLOCK = re.compile(
    r"File: (?P<title>[^\n]{1,300})\n(?P<fence>`{3,})[^\n`]*\n(?:.*?\n)??(?P=fence)(?:\n\n|\Z)",
    re.DOTALL,
)


class Attached(NamedTuple):
    """One of these texts."""

    title: str
    block: str


def block(title: str, text: str, kind: str) -> str:
    """Return a text as it stands before a message, marked as code of this kind."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"File: {title}\n{fence}{kind}\n{text}\n{fence}"


def split(message: str) -> tuple[list[Attached], str]:
    """Return what a message begins with, and what the person says."""
    found = []
    place = 0
    while one := BLOCK.match(message, place):
        found.append(Attached(one["title"], one[0].rstrip("\n")))
        place = one.end()
    return found, message[place:]
