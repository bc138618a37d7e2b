"""Taking a reply apart, while it is written: what is thought, and what is said."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prompts.letters import held_back
from prompts.marks import RESPONSE, Marks

FENCE = re.compile(r"^ {0,3}(```|~~~)", re.MULTILINE)
#: The letters that a string of JSON comes after, or none.
BEFORE_STRING = ("", "{", "[", ",", ":")


class Span(NamedTuple):
    """A part of a text, from one character to before another."""

    start: int
    end: int


@dataclass(frozen=True)
class Parts:
    """A reply, or what of it is there, taken apart."""

    thoughts: tuple[Span, ...] = ()
    said: tuple[Span, ...] = ()
    #: Whether the last thought has not ended.
    thinking: bool = False
    #: Whether it has begun: there is a thought, or a letter that belongs to none.
    begun: bool = False


def parts(reply: str, marks: Marks | None, *, finished: bool) -> Parts:
    """Take a reply apart, or what of it is there.

    What may become a mark is in no part yet. Inside code or a string of JSON, as calls of tools
    have them, a mark is text, and so is one in the middle of a line that is never followed by its
    other half.
    """
    if not marks:
        return Parts(said=(Span(0, len(reply)),), begun=bool(reply))
    thoughts, said, at, text = list[Span](), list[Span](), 0, _Markdown()
    while (start := _next(reply, marks, text, at)) is not None:
        end = reply.find(marks.end, start + len(marks.begin))
        # What stands around a reply begins anew, as a line does.
        line = [*_without(text.line, Span(0, len(text.line)), marks.around)][-1]
        middle = end < 0 and text.line[line.start :].strip()
        if middle and not finished:
            said.append(Span(at, start))
            return _made(thoughts, said, reply, marks, thinking=False)
        if middle:
            break
        said.append(Span(at, start))
        if end < 0:
            held = 0 if finished else held_back(reply[start + len(marks.begin) :], marks.end)
            thoughts.append(Span(start + len(marks.begin), len(reply) - held))
            return _made(thoughts, said, reply, marks, thinking=True)
        thoughts.append(Span(start + len(marks.begin), end))
        at = end + len(marks.end)
    rest = reply[at:]
    held = max(held_back(rest, mark) for mark in (marks.begin, *marks.around))
    said.append(Span(at, len(reply) - (0 if finished else held)))
    return _made(thoughts, said, reply, marks, thinking=False)


def _next(reply: str, marks: Marks, text: "_Markdown", at: int) -> int | None:
    """Return where the next thought begins that is not inside code, of which `text` is before."""
    while (start := reply.find(marks.begin, at)) >= 0:
        text.add(reply[at:start])
        if not text.in_code:
            return start
        text.add(marks.begin[:1])
        at = start + 1
    return None


class _Markdown:
    """A text that grows, as far as it tells whether what follows is code.

    It is asked once for each mark, of which a reply may be full; so what was seen is counted.
    """

    def __init__(self) -> None:
        self._fences = self._ticks = 0
        self._in_string = False
        #: The last line.
        self.line = ""

    def add(self, text: str) -> None:
        before, new_line, last = text.rpartition("\n")
        if new_line:
            self._fences += len(FENCE.findall(self.line + before))
            self._ticks, self._in_string, self.line = 0, False, ""
        known = len(self.line)
        self._ticks += last.count("`")
        self.line += last
        quote = len(self.line)
        while (quote := self.line.rfind('"', known, quote)) >= 0:
            ahead = self.line[:quote]
            if (quote - len(ahead.rstrip("\\"))) % 2 == 0:  # no backslash escapes it
                self._in_string = ahead.rstrip()[-1:] in BEFORE_STRING
                break

    @property
    def in_code(self) -> bool:
        """Whether what follows is in code, or in a string of JSON."""
        fenced = (self._fences + bool(FENCE.match(self.line))) % 2 == 1
        return fenced or self._ticks % 2 == 1 or self._in_string


def _made(
    thoughts: list[Span], said: list[Span], reply: str, marks: Marks, *, thinking: bool
) -> Parts:
    spoken = tuple(piece for span in said for piece in _without(reply, span, marks.around))
    begun = bool(thoughts) or any(reply[a:b].strip() for a, b in spoken)
    return Parts(tuple(thoughts), spoken, thinking, begun)


def _without(reply: str, span: Span, around: tuple[str, ...]) -> Iterator[Span]:
    """Yield what of a span is left without the marks that stand around replies."""
    at = seen = span.start
    text = _Markdown()
    if around:
        for mark in re.finditer("|".join(map(re.escape, around)), reply[span.start : span.end]):
            begin, end = (span.start + place for place in mark.span())
            text.add(reply[seen:begin])
            seen = begin
            if mark[0] in RESPONSE and text.in_code:  # which is no token, and anybody's text
                continue
            yield Span(at, begin)
            at = seen = end
    yield Span(at, span.end)
