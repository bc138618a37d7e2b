"""HTML that people and models write is shown as they wrote it, never as what it would do.

A browser shows a reply as Markdown, in which `<b>` would be bold print and `<div>`
nothing at all. An invisible U+2060 after `<` keeps Markdown from seeing a tag, and one
before `mermaid` keeps Gradio from drawing a diagram, which has HTML in it or is in error.

Code between fences needs none, and stays as it is for its highlighting. But where
fences begin and end depends on lists, quotes and formulas around them. So only plain
ones are left alone, and from the first doubt on everything is marked.
"""

import re

MARK = "\u2060"
#: Matches a mark and what it is put after, in Python and in JavaScript.
MARKED = f"([<`~]){MARK}"

_SEEN = re.compile("<(?=[A-Za-z/!?])|(?:```|~~~)(?=[ \t]*mermaid)", re.IGNORECASE)
_FENCE = re.compile("( {0,3})(`{3,}(?!.*`)|~{3,})")


def escape(text: str) -> str:
    """Return what a Markdown renderer shows as `text`."""
    if not _SEEN.search(text):
        return text
    # A renderer does the same first, so that lines end there.
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    prose: list[str] = []
    fence, indent = "", 0
    for number, line in enumerate(lines):
        spaces = len(line) - len(line.lstrip(" "))
        if fence:
            closes = re.fullmatch(f" {{0,3}}{fence}[`~]* *", line)
            if (line.strip() and spaces < indent) or (fence in line and not closes):
                return _marked_from(number, lines)
            fence = "" if closes else fence
        elif begins := _FENCE.match(line):
            if _in_formula("\n".join(prose)):
                return _marked_from(number, lines)
            fence, indent = begins[2], spaces
            lines[number] = _marked(line)
        elif "```" in line or "~~~" in line:
            return _marked_from(number, lines)
        else:
            prose.append(line)
            lines[number] = _marked(line)
    return "\n".join(lines)


def unescape(text: str) -> str:
    """Return the text of which `escape` made this."""
    return re.sub(MARKED, r"\1", text)


def _marked(line: str) -> str:
    return _SEEN.sub(f"\\g<0>{MARK}", line)


def _marked_from(number: int, lines: list[str]) -> str:
    return "\n".join([*lines[:number], *map(_marked, lines[number:])])


def _in_formula(before: str) -> bool:
    """Whether a formula has begun that a fence would be a part of."""
    return before.count("$$") % 2 == 1 or any(
        before.rfind(left) > before.rfind(right) for left, right in (("\\[", "\\]"), ("\\(", "\\)"))
    )
