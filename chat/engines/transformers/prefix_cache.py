"""KV caches that are kept, so that a conversation is not read again at each of its turns."""

from collections.abc import Sequence
from typing import NamedTuple

from chat.engines.transformers.kv_cache import GrowingCache

#: The share of a kept cache that a prompt must begin with to take it over. Those
#: who share less, such as a system prompt, get a copy, and its owner keeps the rest.
TAKEN_OVER = 0.75


class _Kept(NamedTuple):
    ids: list[int]
    cache: GrowingCache


class KeptCaches:
    """Caches and the token ids that they were computed from, at most `limit` bytes in all.

    What a cache holds for a token depends on that token and those before it,
    and on nothing else. So a prompt may use what it shares from the first id on,
    whoever asked before: ids are compared one by one, and what differs is cut off.
    """

    def __init__(self, layers: int, limit: int) -> None:
        self._layers = layers
        self._limit = limit
        self._kept: list[_Kept] = []  # the one used last at the end

    @property
    def nbytes(self) -> int:
        """Bytes of memory that are kept."""
        return sum(kept.cache.nbytes for kept in self._kept)

    def take(self, prompt: Sequence[int]) -> GrowingCache:
        """Return a cache that holds a prefix of `prompt`, and is the caller's from now on.

        It never holds the last id, which the model has to read for its first scores.
        """
        lengths = [_shared(prompt[:-1], kept.ids) for kept in self._kept]
        length = max(lengths, default=0)
        if not length:
            return GrowingCache.empty(self._layers)
        index = lengths.index(length)
        kept = self._kept.pop(index)
        if length < TAKEN_OVER * len(kept.ids):
            self._kept.append(kept)
            return kept.cache.copy(length)
        kept.cache.cut(length)
        return kept.cache

    def keep(self, ids: Sequence[int], cache: GrowingCache) -> None:
        """Keep what `cache` holds for `ids`, whose last one the model has not read yet.

        The work on it may have been stopped anywhere: only what all layers hold counts.
        """
        length = min(cache.length, len(ids) - 1)
        cache.cut(length)
        if not length or cache.nbytes > self._limit:
            return
        self._kept.append(_Kept(list(ids[:length]), cache))
        while self.nbytes > self._limit:
            self._kept.pop(0)

    def clear(self) -> None:
        """Let all memory go."""
        self._kept.clear()


def _shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many ids the two have in common before they first differ."""
    pairs = zip(first, second, strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other),
        min(len(first), len(second)),
    )
