"""Tokens that are guessed, and then checked in one pass of the model.

What the model would have written otherwise replaces what it disagrees with, so the reply is the
same (speculative decoding, Leviathan et al., 2023).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from weakref import WeakKeyDictionary

from chat.engines.batched.passes import New, Passes
from chat.engines.batched.pool import PoolCache
from chat.engines.batched.ranges import Range
from chat.engines.batched.reply import Reply

#: How many of the last tokens are looked for in the text.
NGRAM = 2
#: How many tokens an assistant guesses.
DRAFTED = 4


class Drafter(Protocol):
    """Guesses what follows."""

    def drafts(self, replies: Sequence[Reply]) -> dict[Reply, list[int]]:
        """Return what may follow in each of `replies`, all of whose tokens but one are read."""
        ...

    def copy(self, source: int, range: Range) -> None:
        """Hear that `range` begins with `length` tokens from another place in the pool."""
        ...


class Lookup:
    """Guesses `most` tokens: those that followed the same ones before in the text.

    Prompt lookup decoding (Saxena, 2023).
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: WeakKeyDictionary[Reply, _Seen] = WeakKeyDictionary()

    def drafts(self, replies: Sequence[Reply]) -> dict[Reply, list[int]]:
        """See `Drafter.drafts`."""
        found = {}
        for reply in replies:
            seen = self._seen.setdefault(reply, _Seen())
            found[reply] = seen.after(reply.ranges[0].ids, min(self._most, reply.left - 1))
        return found

    def copy(self, source: int, range: Range) -> None:
        """See `Drafter.copy`."""


class _Seen:
    """Where in a text each few tokens were last, but for its end."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {}
        self._read = NGRAM

    def after(self, ids: Sequence[int], most: int) -> list[int]:
        """Return what followed the last few of `ids`, a text that only gets longer."""
        for place in range(self._read, len(ids)):
            self._places[tuple(ids[place - NGRAM : place])] = place
        self._read = max(self._read, len(ids))
        place = self._places.get(tuple(ids[-NGRAM:]), len(ids))
        return list(ids[place : place + most])


class Assistant:
    """Has a smaller model with the same vocabulary guess `DRAFTED` tokens.

    Its `pool` is divided as the model's own. It reads at most `part` tokens of a text between two
    of the model's passes, and none beyond its `window`.
    """

    def __init__(self, passes: Passes, pool: PoolCache, part: int, window: float) -> None:
        self._passes = passes
        self._pool = pool
        self._part = part
        self._window = window

    def drafts(self, replies: Sequence[Reply]) -> dict[Reply, list[int]]:
        """See `Drafter.drafts`."""
        found: dict[Reply, list[int]] = {}
        unread = {}
        for reply in replies:
            one = reply.ranges[0]
            one.drafted = min(one.drafted, len(one.ids) - 1)  # a pass that failed is done again
            behind = one.ids[one.drafted :]
            if len(one.ids) + DRAFTED > self._window:
                continue
            if len(behind) > self._part:
                self._read([(one, one.drafted, behind[: self._part])])
                one.drafted += self._part
            else:
                unread[reply] = one.drafted, behind
        for place in range(DRAFTED):
            going = [reply for reply in unread if len(found.get(reply, ())) < reply.left - 1]
            if not going:
                break
            guessed = self._read([(reply.ranges[0], *unread[reply]) for reply in going])
            for reply, id in zip(going, guessed, strict=True):
                read, ids = unread[reply]
                if not place:
                    reply.ranges[0].drafted = len(reply.ranges[0].ids)
                unread[reply] = read + len(ids), [id]
                found.setdefault(reply, []).append(id)
        return found

    def copy(self, source: int, range: Range) -> None:
        """See `Drafter.copy`."""
        self._pool.copy(source, range.start, range.drafted)

    def _read(self, texts: Sequence[tuple[Range, int, Sequence[int]]]) -> list[int]:
        """Read ids after so many in each range, and return what it would write next."""
        news = [New(replace(one, length=read), ids, 1) for one, read, ids in texts]
        ids: list[int] = self._passes.run(news).argmax(-1).tolist()
        return ids
