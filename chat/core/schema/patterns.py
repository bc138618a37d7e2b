"""A plain pattern (see `constraints.plain`) for the inside of a JSON string."""

import re

from chat.core.schema.letters import HIDDEN, NOTHING, class_of, json_of, literal, without

PART = re.compile(r"\[(?:\\.|[^\]\\])*\]|\{\d+,\d*\}|\\.|.", re.DOTALL)
NAMED = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}


def quoted(pattern: str) -> str:
    """Return a plain pattern (see `constraints.plain`) for the inside of a JSON string."""
    parts: list[str] = []
    for part in PART.findall(pattern.removeprefix("^").removesuffix("$")):
        if part[0] == "{":
            parts[-1] += part
        elif part in ("(", ")", "|"):
            if part in ")|" and parts[-1:] in (["("], ["|"]):
                parts.append(NOTHING)
            parts.append(part)
        elif part[0] == "[":
            parts.append(_class(part[1:-1]))
        else:
            letter = NAMED.get(part, part[-1])
            parts.append(literal(json_of(letter)[1:-1]))
    return " ".join(parts)


def _class(inner: str) -> str:
    negated = inner.startswith("^")
    marks = re.findall(r"\\.|.", inner[negated:], re.DOTALL)
    letters = [NAMED.get(mark, mark[-1]) for mark in marks]
    ranges = []
    at = 0
    while at < len(marks):
        through = at + 2 if marks[at + 1 : at + 2] == ["-"] and at + 2 < len(marks) else at
        ranges.append((ord(letters[at]), ord(letters[through])))
        at = through + 1

    if negated:
        ranges = without([(0, 0x10FFFF)], ranges)
    ways = [class_of(shown)] if (shown := without(ranges, HIDDEN)) else []
    for letter in '"\\\n\r\t':  # which JSON shows otherwise
        if any(first <= ord(letter) <= last for first, last in ranges):
            ways.append(literal(json_of(letter)[1:-1]))
    return "(" + " | ".join(ways) + ")"
