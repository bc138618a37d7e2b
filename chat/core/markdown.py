"""A conversation as Markdown, to read and to pass on; JSON is what can be loaded again.

# Rain

## User

A poem?

## Assistant

> **Thought**
>
> What about water?

Drops on the window.
"""

import re
from collections.abc import Sequence

from prompts.base import Message

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
RULE = re.compile(r" {0,3}([-*_])[ \t]*(\1[ \t]*){2,}")
#: A list or a quote, and perhaps the text in it, which goes on below.
ITEM = re.compile(r"\s*(?:>|(?:[-*+]|\d{1,9}[.)])(?:\s|$))\s*(\w?)")
INDENTED = re.compile(r" {4}|\t")
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
WRITTEN = re.compile(r"# [^\n]*\n\n## (System|User|Assistant)\n")


def write(title: str, messages: Sequence[Message]) -> str:
    """Return the conversation: a title, and each message under the name of its role.

    A message's text is as it is, except that its headings come below those, and
    that a block of code which it leaves open ends with it.
    """
    parts = [
        f"# {' '.join(title.split())}",
        *(
            f"## {one.role.title()}\n\n{_thought(one.thought)}{_below(one.content)}"
            for one in messages
        ),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _thought(text: str) -> str:
    """Return a thought as a quote, which nothing in it can end."""
    if not text:
        return ""
    # A tab would reach less far behind the mark of a quote, and what it indents be no code.
    text = INDENT.sub(lambda indent: indent[0].expandtabs(4), text)
    lines = ["**Thought**", "", *_below(text).split("\n")]
    return "".join(f"> {line}\n" if line.strip() else ">\n" for line in lines) + "\n"


def is_written(text: str) -> bool:
    """Whether this is what `write` makes."""
    return bool(WRITTEN.match(text))


def _below(text: str) -> str:
    """Return a text with its headings two levels down, and all of its code closed."""
    lines: list[str] = []
    fence = ""  # what closes the block of code that a line is in
    paragraph = item = False  # what the line before is part of
    for line in text.split("\n"):
        mark, heading = FENCE.fullmatch(line), HEADING.match(line)
        opens = mark and not (mark[1][0] == "`" and "`" in mark[2])
        if fence:
            if mark and mark[1].startswith(fence) and not mark[2].strip():
                fence = ""
        elif mark and opens:
            fence = mark[1]
        elif heading:
            line = "#" * min(2, 6 - len(heading[1])) + line.lstrip(" ")
        elif paragraph and UNDERLINE.fullmatch(line):
            lines[-1] = f"{'###' if '=' in line else '####'} {lines[-1].strip()}"
            paragraph = False
            continue
        plain = bool(line.strip()) and not (fence or opens or heading or RULE.fullmatch(line))
        starts = ITEM.match(line)
        item = plain and (bool(starts[1]) if starts else item)
        text_goes_on = paragraph or not INDENTED.match(line)
        paragraph = plain and text_goes_on and not (starts or item)
        lines.append(line)
    return "\n".join([*lines, *([fence] if fence else [])])
