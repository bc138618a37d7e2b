"""Who has which part of the pool, and what earlier replies have left in theirs.

A reply has one range of the pool from its beginning to its end, as long as its prompt and its
longest reply: so nothing is paged, padded or moved, and none is ever cut, or read a second time,
for want of room. What a reply leaves is kept until somebody needs the room, since the next turn
of that conversation begins with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chat.engines.transformers.prefix_cache import TAKEN_OVER, shared


@dataclass(eq=False)
class Range:
    """A part of the pool: `size` tokens from `start` on."""

    start: int
    size: int
    #: What the model was changed by.
    adapter: str = ""
    #: The text whose keys and values it holds, and of which it holds the first `length` tokens.
    ids: list[int] = field(default_factory=list)
    length: int = 0
    #: Whether somebody's reply is written here; else what is here is kept.
    used: bool = True

    @property
    def end(self) -> int:
        """The first place behind it."""
        return self.start + self.size


class Entered(NamedTuple):
    """A range for a reply."""

    range: Range
    #: From where in the pool its first `range.length` tokens are to be copied.
    copied_from: int


class Ranges:
    """The ranges of a pool with room for so many tokens."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._ranges: list[Range] = []  # the one left last at the end

    def enter(self, prompt: Sequence[int], size: int, adapter: str = "") -> Entered | None:
        """Return a range of `size` for a reply to `prompt`, or None while there is no room.

        It begins with what is there already of the prompt, whoever asked the same adapter
        before, but for the last id, which the model has to read for its first scores. What
        is kept gives way to it, the oldest first.
        """
        known, length = self._longest(prompt, adapter)
        taken = known and not known.used and length >= TAKEN_OVER * known.length
        # What is taken over can be written over, and what is copied goes last.
        kept = [one for one in self._ranges if not one.used and one is not known]
        kept += [known] if known and not known.used else []
        gone = kept[-1:] if taken else []
        kept = [one for one in kept if one not in gone]
        while (start := self._gap(size, gone, known)) is None:
            if not kept:
                return None
            gone = [*gone, kept.pop(0)]
        self._ranges = [
            one
            for one in self._ranges
            if one not in gone or (one is not known and not _overlap(one, start, size))
        ]
        entered = Range(start, size, adapter, list(prompt), length)
        self._ranges.append(entered)
        return Entered(entered, known.start if known and length else start)

    def leave(self, range: Range) -> None:
        """Keep what `range` holds until somebody needs the room."""
        self._ranges.remove(range)
        range.used = False
        range.size = range.length
        del range.ids[range.length :]
        if range.length:
            self._ranges.append(range)

    def free(self, range: Range) -> None:
        """Let `range` go with what it holds."""
        self._ranges.remove(range)

    def clear(self) -> None:
        """Let all go that is only kept."""
        self._ranges = [one for one in self._ranges if one.used]

    def _longest(self, prompt: Sequence[int], adapter: str) -> tuple[Range | None, int]:
        """Return the range that has most of the beginning of `prompt`, and how much."""
        best: tuple[Range | None, int] = None, 0
        for one in reversed(self._ranges):
            if one.adapter == adapter:
                length = shared(prompt[:-1], one.ids[: one.length])
                if length > best[1]:
                    best = one, length
        return best

    def _gap(self, size: int, gone: list[Range], first: Range | None) -> int | None:
        """Return where `size` tokens are free without those that are `gone`.

        Where `first` is gone that is tried first, so that what it holds stays where it is; then
        the smallest gap that suffices.
        """
        there = sorted(
            (one for one in self._ranges if one not in gone), key=lambda one: one.start
        )
        begins = [0, *(one.end for one in there)]
        ends = [*(one.start for one in there), self.tokens]
        gaps = list(zip(begins, ends, strict=True))
        if first in gone and first:
            for begin, end in gaps:
                if begin <= first.start and first.start + size <= end:
                    return first.start
        fitting = [(end - begin, begin) for begin, end in gaps if end - begin >= size]
        return min(fitting)[1] if fitting else None


def _overlap(one: Range, start: int, size: int) -> bool:
    return one.start < start + size and start < one.end
