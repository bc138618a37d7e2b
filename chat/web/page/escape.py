"""What people and models write is shown as they wrote it, never as what it would do.

The page shows all text as Markdown, which is right for a reply only, and not for all of it.

`escape` is for a reply. In Markdown `<b>` would be bold print, `<div>` nothing at all,
`&lt;` another sign, and `2~3` and `5~7` in a line, or `2*3*4`, would lose their signs. An
invisible mark after such a sign keeps it one. It is U+FEFF, in which Markdown sees a
space. Another before `mermaid` keeps Gradio from drawing a diagram, which has HTML in it.

Code between fences needs no marks, and stays as it is for its highlighting. But where
fences begin and end depends on lists, quotes and formulas around them. So only plain
ones are left alone, and from the first doubt on everything is marked.

`verbatim` is for a user's message, of which nothing is Markdown. It makes one paragraph of
it, with character references in place of line breaks and signs: those are never markup
(CommonMark 0.31, section 2.5). They begin with zeros, by which `unescape` knows them.
"""

import re

MARK = "\ufeff"
#: Matches a reference and its number, or a sign that is marked, in Python and in JavaScript.
ESCAPED = f"&#00([0-9]{{1,3}});|([<&~*`=]){MARK}"

#: What is marked in code too: Gradio has other plans for it, or `unescape` would have.
_ANYWHERE = re.compile(f'(?<=src)=(?="/file)|&(?=#00[0-9]{{1,3}};)|[<&~*`=](?={MARK})')
_SEEN = re.compile(
    r"[<&~*`:\]\\$](?:"  # a set is what a search is quick to find
    r"(?<=<)(?=[A-Za-z/!?])"
    r"|(?<=&)(?=#[0-9]{1,7};|#[Xx][0-9A-Fa-f]{1,6};|\w{1,40};)"
    rf"|(?<=~)(?<!~~)(?![~\s{MARK}])"
    r"|(?<=[0-9]\*)\*?(?=[0-9A-Za-z])|(?<=[A-Za-z]\*)\*?(?=[0-9])"
    r"|(?:(?<=`)``|(?<=~)~~)(?=[ \t]*(?i:mermaid))"
    # What is left alone, unless it holds HTML: addresses and formulas.
    r"|(?<=ttp:|tps:|ftp:)//[A-Za-z0-9][^\s<)]*|(?<=\])\([^\s<)]{0,1000}\)"
    r"|(?<=\\)(?:\([^<]{0,300}?\\\)|\[[^<]{0,300}?\\\])|(?<=\$)\$[^<]{0,300}?\$\$)"
)
_SIGNS = "<&~*`"
_FENCE = re.compile("( {0,3})(`{3,}(?!.*`)|~{3,})")
#: Signs that mean something: in a line, at its ends, in addresses, and to Gradio.
_MEANT = re.compile(
    r"[\\`*_~<&\[@\t\n\r]"
    r"|\A[^0-9A-Za-z\x80-\U0010ffff]|\A[0-9](?=[0-9]*[.)])| \Z"
    rf"|:(?=//)|w(?=ww\.)|\$(?=\$)|%(?=%)|=(?=\"/file|{MARK})",
    re.IGNORECASE,
)


def escape(text: str) -> str:
    """Return what shows the `text` of a reply as Markdown, but nothing else than it says."""
    text = _ANYWHERE.sub(f"\\g<0>{MARK}", text)
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


def verbatim(text: str) -> str:
    """Return what shows `text` as it is, where CSS keeps its white space."""
    return _MEANT.sub(lambda sign: f"&#00{ord(sign[0])};", text)


def unescape(text: str) -> str:
    """Return the text of which `escape` or `verbatim` made this."""
    return re.sub(ESCAPED, lambda found: found[2] or chr(int(found[1])), text)


def _marked(line: str) -> str:
    return _SEEN.sub(lambda seen: seen[0] + MARK * (seen[0][0] in _SIGNS), line)


def _marked_from(number: int, lines: list[str]) -> str:
    return "\n".join([*lines[:number], *map(_marked, lines[number:])])


def _in_formula(before: str) -> bool:
    """Whether a formula has begun that a fence would be a part of."""
    return before.count("$$") % 2 == 1 or any(
        before.rfind(left) > before.rfind(right) for left, right in (("\\[", "\\]"), ("\\(", "\\)"))
    )
