"""HTML that people and models write is shown as they wrote it, never as what it would do.

A browser shows a reply as Markdown, in which `<b>` would be bold print and `<div>`
nothing at all. An invisible U+2060 after `<` keeps Markdown from seeing a tag.

Code between fences needs none, and stays as it is for its highlighting. But where
fences begin and end depends on lists, quotes and formulas around them. So only plain
ones are left alone, and from the first doubt on everything is marked.
"""

import re

MARK = "\u2060"

_TAG = re.compile("<(?=[A-Za-z/!?])")
_FENCE = re.compile("( {0,3})(`{3,}(?!.*`)|~{3,})")


def shown(text: str) -> str:
    """Return what a Markdown renderer shows as `text`."""
    if "<" not in text:
        return text
    lines = text.split("\n")
    fence, indent = "", 0
    for number, line in enumerate(lines):
        bare = line.strip()
        spaces = len(line) - len(line.lstrip(" "))
        if fence:
            closes = bare.startswith(fence) and not bare.strip("`~")
            if (bare and spaces < indent) or (closes and spaces > 3):
                return _marked_from(number, lines)
            fence = "" if closes else fence
        elif begins := _FENCE.match(line):
            if _in_formula("\n".join(lines[:number])):
                return _marked_from(number, lines)
            fence, indent = begins[2], spaces
            lines[number] = _marked(line)
        elif "```" in line or "~~~" in line:
            return _marked_from(number, lines)
        else:
            lines[number] = _marked(line)
    return "\n".join(lines)


def written(text: str) -> str:
    """Return the text of which `shown` made this."""
    return text.replace(f"<{MARK}", "<")


def _marked(line: str) -> str:
    return _TAG.sub(f"<{MARK}", line)


def _marked_from(number: int, lines: list[str]) -> str:
    return "\n".join([*lines[:number], *map(_marked, lines[number:])])


def _in_formula(before: str) -> bool:
    """Whether a formula has begun that a fence would be a part of."""
    return before.count("$$") % 2 == 1 or any(
        before.rfind(left) > before.rfind(right) for left, right in (("\\[", "\\]"), ("\\(", "\\)"))
    )
