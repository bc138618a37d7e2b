"""A conversation as Markdown, to read and to pass on; JSON is what can be loaded again.

# Rain

## User

A poem?

## Assistant

Drops on the window.
"""

import re
from collections.abc import Sequence

from prompts.base import Message

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
#: A line that one below it does not make a heading: blank, a list, quote, heading, code or rule.
NO_TITLE = re.compile(
    r"\s*$|\s*([-*+>]|\d{1,9}[.)])(\s|$)|#{1,6}\s| {4}|\t| {0,3}([-*_][ \t]*){3,}$"
)
WRITTEN = re.compile(r"# [^\n]*\n\n## (System|User|Assistant)\n")


def write(title: str, messages: Sequence[Message]) -> str:
    """Return the conversation: a title, and each message under the name of its role.

    A message's text is as it is, except that its headings come below those, and
    that a block of code which it leaves open ends with it.
    """
    parts = [
        f"# {' '.join(title.split())}",
        *(f"## {role.title()}\n\n{_below(text)}" for role, text in messages),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def is_written(text: str) -> bool:
    """Whether this is what `write` makes."""
    return bool(WRITTEN.match(text))


def _below(text: str) -> str:
    """Return a text with its headings two levels down, and all of its code closed."""
    lines: list[str] = []
    fence = ""  # what closes the block of code that a line is in
    for line in text.split("\n"):
        mark = FENCE.fullmatch(line)
        heading = HEADING.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and not (mark[1][0] == "`" and "`" in mark[2]):
            fence = mark[1]
        elif heading:
            line = "#" * min(2, 6 - len(heading[1])) + line.lstrip(" ")
        elif UNDERLINE.fullmatch(line) and lines and not NO_TITLE.match(lines[-1]):
            lines[-1] = f"{'###' if '=' in line else '####'} {lines[-1].strip()}"
            continue
        lines.append(line)
    return "\n".join([*lines, *([fence] if fence else [])])
