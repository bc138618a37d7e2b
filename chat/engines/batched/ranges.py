"""Who has which part of the pool, and what earlier replies have left in theirs.

A reply has one range of the pool from its beginning to its end, as long as its prompt and its
longest reply: so nothing is paged or padded, and none is ever cut, or read a second time, for
want of room. What a reply leaves is kept until somebody needs the room, since the next turn of
that conversation begins with it.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from chat.engines.transformers.prefix_cache import TAKEN_OVER, shared


@dataclass(eq=False)
class Range:
    """A part of the pool: `size` tokens from `start` on."""

    start: int
    size: int
    #: What the model was changed by.
    adapter: str = ""
    #: A text, of which the pool holds the keys and values of the first `length` tokens here.
    ids: list[int] = field(default_factory=list)
    length: int = 0
    #: Of how many an assistant's pool holds them too.
    drafted: int = 0
    #: Whether somebody's reply is written here; else what is here is only kept.
    used: bool = True

    @property
    def end(self) -> int:
        """The first place behind it."""
        return self.start + self.size


class Ranges:
    """The ranges of a pool with room for so many tokens."""

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self._ranges: list[Range] = []  # the one left last at the end

    def enter(self, ids: Sequence[int], size: int, adapter: str = "") -> tuple[Range, int] | None:
        """Return a range of `size` for a reply to `ids`, or None while there is no room.

        Its first `length` tokens are there already, whoever had the same adapter read them:
        they are to be copied from the place that comes with it, which may be its own. The
        last id is never among them, since the model has to read it for its first scores. What
        is only kept gives way, the oldest first.
        """
        known, length = self._longest(ids[:-1], adapter)
        kept = [one for one in self._ranges if not one.used and one is not known]
        taken: list[Range] = []
        if known and not known.used:
            # It is taken over, or copied and the last one to give way.
            (taken if length >= TAKEN_OVER * known.length else kept).append(known)

        def place(many: int) -> int | None:
            """Return where there is room if so many of them give way."""
            return self._gap(size, {*taken, *kept[:many]}, known)

        fewest = bisect_left(range(len(kept) + 1), True, key=lambda many: place(many) is not None)
        start = place(fewest)
        if start is None:
            return None
        entered = Range(start, size, adapter, list(ids), length)
        entered.drafted = min(known.drafted, length) if known else 0
        source = known.start if known else start
        if known and known in (*taken, *kept[:fewest]):
            self._ranges.remove(known)
        self._ranges = [one for one in self._ranges if one.used or not _meet(one, entered)]
        self._ranges.append(entered)
        return entered, source

    def leave(self, one: Range) -> None:
        """Keep what a range holds until somebody needs the room."""
        self._ranges.remove(one)
        one.used = False
        one.size = one.length
        one.drafted = min(one.drafted, one.length)
        del one.ids[one.length :]
        if one.length:
            self._ranges.append(one)

    def free(self, one: Range) -> None:
        """Let a range go with what it holds."""
        self._ranges.remove(one)

    def clear(self) -> None:
        """Let all go that is only kept."""
        self._ranges = [one for one in self._ranges if one.used]

    def _longest(self, ids: Sequence[int], adapter: str) -> tuple[Range | None, int]:
        """Return the range that holds most of the beginning of `ids`, and how much."""
        best: tuple[Range | None, int] = None, 0
        for one in reversed(self._ranges):
            more = best[1] + 1
            if one.adapter == adapter and one.ids[:more] == ids[:more]:
                length = min(shared(ids, one.ids), one.length)
                if length > best[1]:
                    best = one, length
        return best

    def _gap(self, size: int, gone: Collection[Range], known: Range | None) -> int | None:
        """Return where `size` tokens are free without those that are `gone`: the tightest place.

        The place of `known` is preferred, so that what it holds need not be moved.
        """
        there = sorted((one.start, one.end) for one in self._ranges if one not in gone)
        begins = [0, *(end for _, end in there)]
        ends = [*(start for start, _ in there), self.tokens]
        gaps = list(zip(begins, ends, strict=True))
        if known and any(begin <= known.start and known.start + size <= end for begin, end in gaps):
            return known.start
        fitting = [(end - begin, begin) for begin, end in gaps if end - begin >= size]
        return min(fitting)[1] if fitting else None


def _meet(one: Range, other: Range) -> bool:
    return one.start < other.end and other.start < one.end
