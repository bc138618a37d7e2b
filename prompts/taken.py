"""Whether a chat template takes messages in some order, seen by what it makes of stand-ins.

Templates refuse few orders and spoil many: one leaves out a second system message, one
keeps only the last, one writes it as if the assistant had said it, one has no mark for an
assistant who begins, and one asks for a reply only after a user's message. So an order
that is not usual is taken if

    all texts are in what is written,
    those of the system would be written otherwise if they were the assistant's,
    what stands before the assistant's ends as it does usually,
    and so does what asks for a reply.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import NamedTuple

from prompts.base import Message, Role

STAND_IN = "\ue0f2"
"""A private-use character, which is taken out of what people write."""

FOUND = re.compile(f"{STAND_IN}([0-9]+){STAND_IN}")
#: A word, or a part of one, at the beginning of a text.
WORD = re.compile(r"^\w+")

USUAL: tuple[tuple[Role, ...], ...] = (
    ("system", "user", "assistant", "user"),
    ("user", "assistant", "user"),
)

Render = Callable[[Sequence[Message]], str]


class _Seen(NamedTuple):
    """What a template makes of messages."""

    text: str
    #: What stands before each text of the assistant's, back to the text before it.
    leads: list[str]
    #: What stands after the last text, and asks for a reply.
    tail: str


class Taken:
    """Whether a template takes messages of these roles, in this order."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._usual = next(filter(None, map(self._see, USUAL)), None)
        self._takes = lru_cache(maxsize=256)(self._look)

    def __call__(self, roles: tuple[Role, ...]) -> bool:
        """Whether nothing would be lost or be taken for another's."""
        return self._takes(roles)

    def keeps(self, roles: tuple[Role, ...]) -> bool:
        """Whether these are written, and all their texts."""
        return self._see(roles) is not None

    def loses(self, roles: tuple[Role, ...]) -> bool:
        """Whether these are written, and a text of them is left out."""
        return self._text(roles) is not None and not self._see(roles)

    def _look(self, roles: tuple[Role, ...]) -> bool:
        seen, usual = self._see(roles), self._usual
        if not seen or not usual or not _end_alike(seen.tail, usual.tail):
            return False
        if not all(_end_alike(lead, usual.leads[0]) for lead in seen.leads):
            return False
        replies = (*roles[:1], *("assistant" if one == "system" else one for one in roles[1:]))
        others = self._see(replies) if replies != roles else None
        return not others or others.text != seen.text

    def _see(self, roles: Sequence[Role]) -> _Seen | None:
        """Return what is made of stand-ins, or None if it is refused or one is left out."""
        if (text := self._text(roles)) is None:
            return None
        found = list(FOUND.finditer(text))
        first = {int(one[1]): one for one in reversed(found)}
        if first.keys() != {*range(len(roles))}:
            return None
        ends, leads = [0, *(one.end() for one in found)], []
        for number, role in enumerate(roles):
            if role == "assistant":
                place = first[number].start()
                leads.append(text[ends[bisect_right(ends, place) - 1] : place])
        return _Seen(text, leads, text[ends[-1] :])

    def _text(self, roles: Sequence[Role]) -> str | None:
        """Return what is made of stand-ins, or None if it is refused."""
        try:
            return self._render(list(map(Message, roles, _stand_ins(roles))))
        except Exception:  # of a template that anyone may have written
            return None


def _stand_ins(roles: Sequence[Role]) -> list[str]:
    return [f"{STAND_IN}{place}{STAND_IN}" for place in range(len(roles))]


def _end_alike(one: str, other: str) -> bool:
    """Whether the ends that two texts share have a whole word, and not the T] of [INST] alone."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    end = one[len(one) - alike :]
    before = one[: len(one) - alike], other[: len(other) - alike]
    if any(WORD.search(text[-1:]) for text in before):
        end = WORD.sub("", end, count=1)
    return any(map(str.isalnum, end))
