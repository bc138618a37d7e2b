"""What ties a reply down, in the part of each language that every engine takes.

A pattern that an engine cannot compile would only be noticed while it works for
others (some end OpenVINO's process), or mean something else to it. So patterns are
read here, and written again in the plainest words. What is a pattern at all, and what
can be matched token by token, is for `re` and the grammar library to say.
"""

import re
import unicodedata
import warnings
from typing import NamedTuple

# What it would become one day concerns nobody here; the pattern is taken as it is today.
warnings.filterwarnings("ignore", "Possible (nested set|set )", FutureWarning)

#: Most characters that a pattern may come to when its repetitions are written out: what is
#: longer takes OpenVINO minutes. It tries the rest (see `chat.engines.openvino.trial`).
MOST_REPEATED = 300

#: Controls, and halves of a letter; not what joins emoji or letters, or is a wide space.
HIDDEN = ("Cc", "Cs")
#: What turns the direction of all that follows.
BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NOT_OFFERED = "looks around, refers back or sets flags, which is not offered"
CATEGORIES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\r"}
ANYTHING = "(?:.|\\n)*"
#: What a pattern (Python's) is made of, after its `\\`: a letter by its number or name, a
#: reference, or one character. It is one way alone: tried in two, a few dozen take for ever.
ESCAPE = r"\\(?>x..|u.{4}|U.{8}|N\{[^}]*\}|0[0-7]{0,2}|[0-3][0-7]{2}|[1-9]\d?|.)"
CLASS = rf"\[(?P<class>\^?\]?(?:{ESCAPE}|[^\]\\])*)\]"
GROUP = r"(?P<group>\((?:\?:|\?P<\w+>|(?!\?)))"
REPEAT = r"(?P<repeat>[*+?]|\{(?!\})\d*,?\d*\})(?P<manner>[?+]?)"
PART = re.compile(rf"{CLASS}|{GROUP}|{REPEAT}|(?P<escape>{ESCAPE})|(?P<other>.)", re.DOTALL)
CLASS_PART = re.compile(rf"{ESCAPE}|.", re.DOTALL)


class _Written(NamedTuple):
    """A part in plain form, and its length with all repetitions written out."""

    text: str
    length: int


def one_of(choices: tuple[str, ...]) -> str:
    """Return a regular expression that matches these texts and no others."""
    return "|".join(f"({''.join(map(_literal, one))})" for one in choices)


def plain(pattern: str) -> str:
    """Return a regular expression (Python's, of ASCII) in its plainest form.

    Texts match it as a whole.

    Raises:
        ValueError: it is none, or looks around, refers back, or repeats too much.
    """
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        raise ValueError("is not a regular expression") from None
    from llguidance import LLMatcher  # not above, since few need it and it takes a moment

    whole = _read(pattern)
    if not whole.text:
        raise ValueError("matches only an empty reply")
    if whole.length > MOST_REPEATED:
        raise ValueError("repeats too much")
    if LLMatcher.validate_grammar(LLMatcher.grammar_from_regex(whole.text)):
        raise ValueError(NOT_OFFERED)
    return whole.text


def longest(pattern: str) -> int:
    """Return how long a pattern is with its repetitions written out."""
    return _read(pattern).length


def searched(pattern: str) -> str:
    """Return a pattern for the whole of each text in which `pattern` is found (ECMA 262's way)."""
    alternatives, depth = [""], 0
    for found in PART.finditer(pattern):
        depth += (found.lastgroup == "group") - (found["other"] == ")")
        if found["other"] == "|" and not depth:
            alternatives.append("")
        else:
            alternatives[-1] += found[0]
    return "|".join(map(_wholly, alternatives))


def _wholly(pattern: str) -> str:
    parts = [found[0] for found in PART.finditer(pattern)]
    before = "" if parts[:1] == ["^"] else ANYTHING
    return before + pattern + ("" if parts[-1:] == ["$"] else ANYTHING)


def _read(pattern: str) -> _Written:
    """Return the whole of a pattern that `re` can compile."""
    # A group that is open is a list of its alternatives, and each of those one of parts.
    groups: list[list[list[_Written]]] = [[[]]]
    for found in PART.finditer(pattern):
        alternatives = groups[-1]
        parts = alternatives[-1]
        match found.lastgroup, found["other"]:
            case "group", _:
                groups.append([[]])
            case _, ")":
                whole = _joined(groups.pop())
                groups[-1][-1].append(_Written(whole.text and f"({whole.text})", whole.length))
            case _, "|":
                alternatives.append([])
            case "manner", _:
                parts.append(_repeated(parts.pop(), found["repeat"], found["manner"]))
            case "class", _:
                parts.append(_Written(_class(found["class"]), 1))
            case "escape", _:
                parts.append(_Written(_escape(found["escape"]), 1))
            case _, ".":
                parts.append(_Written("[^\\n]", 1))
            case _, "^" if len(groups) == 1 and not parts:
                pass  # the whole has to match anyway
            case _, "$" if len(groups) == 1 and pattern[found.end() : found.end() + 1] in ("", "|"):
                pass
            case _, "^" | "$" | "(":
                raise ValueError(NOT_OFFERED)
            case _, letter:
                parts.append(_Written(_literal(letter), 1))
    return _joined(groups.pop())


def _joined(alternatives: list[list[_Written]]) -> _Written:
    texts = ["".join(text for text, _ in parts) for parts in alternatives]
    length = sum(length for parts in alternatives for _, length in parts)
    return _Written("|".join(text or "()" for text in texts) if any(texts) else "", length)


def _repeated(part: _Written, times: str, manner: str) -> _Written:
    """Return `part` so many times; one that likes few is the same, where the whole must match."""
    if manner == "+":
        raise ValueError(NOT_OFFERED)
    least, comma, most = {"*": ("0", ",", ""), "+": ("1", ",", ""), "?": ("0", ",", "1")}.get(
        times, times[1:-1].partition(",")
    )
    least = least or "0"
    most = most if comma else least
    length = part.length * (int(most) if most else int(least) + 1)
    return _Written(part.text and f"({part.text}){{{least},{most}}}", length)


def _escape(text: str) -> str:
    """Return what an escape means outside a class."""
    kind = text[1]
    if kind.lower() in CATEGORIES:
        return f"[{'^' * kind.isupper()}{CATEGORIES[kind.lower()]}]"
    if kind in "AbBZ123456789" and len(text) < 4:
        raise ValueError(NOT_OFFERED)
    return _literal(_letter(text))


def _class(inner: str) -> str:
    """Return a class, of which `inner` is between its brackets."""
    negated = inner.startswith("^")
    parts = CLASS_PART.findall(inner[negated:])
    if len(parts) == 1 and parts[0] in (r"\D", r"\W", r"\S"):
        return f"[{'^' * (not negated)}{CATEGORIES[parts[0][1].lower()]}]"
    items = []
    while parts:
        part = parts.pop(0)
        if part[0] == "\\" and part[1].lower() in CATEGORIES:
            if part[1].isupper():
                raise ValueError("mixes an opposite like \\W into a class, which is not offered")
            items.append(CATEGORIES[part[1]])
        elif len(parts) > 1 and parts[0] == "-":
            items.append(f"{_in_class(part)}-{_in_class(parts[1])}")
            parts = parts[2:]
        else:
            items.append(_in_class(part))
    # Each once: two of `&` in a row would be an intersection to some.
    return f"[{'^' * negated}{''.join(dict.fromkeys(items))}]"


def _in_class(part: str) -> str:
    letter = _letter(part)
    return _shown(letter, r"\^-[]")


def _literal(letter: str) -> str:
    return _shown(letter, r"\^$.*+?()[]{}|/")


def _letter(part: str) -> str:
    """Return the letter that stands there, or is written by its number or its name."""
    if len(part) == 1:
        return part
    if part[1].isascii() and part[1].isalnum():
        return part.encode().decode("unicode_escape")
    return part[1]


def _shown(letter: str, special: str) -> str:
    named = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
    if letter not in named and (unicodedata.category(letter) in HIDDEN or letter in BIDI):
        raise ValueError("has a control character in it")
    return f"\\{letter}" if letter in special else named.get(letter, letter)
