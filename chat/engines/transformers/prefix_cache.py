"""The prefix cache: KV caches that are kept, so that no turn of a conversation is read again."""

from collections.abc import Sequence
from typing import NamedTuple

from chat.engines.transformers.kv_cache import GrowingCache

#: The share of a KV cache that a prompt must begin with to take it over. Those
#: who share less, such as a system prompt, get a copy, and its owner keeps the rest.
TAKEN_OVER = 0.75
#: Tokens of a reply that room is reserved for: most end sooner than they might.
REPLY = 512


class _Prefix(NamedTuple):
    adapter: str
    ids: list[int]
    #: With the keys and values of all of them.
    cache: GrowingCache


class PrefixCache:
    """KV caches and the token ids that they were computed from, at most `limit` bytes in all.

    What a KV cache holds for a token depends on that token and those before it, on the
    adapter that the model had, and on nothing else. So a prompt may use what it shares from
    the first id on, whoever asked the same adapter before: ids are compared one by one, and
    what differs is cut off.
    """

    def __init__(self, layers: int, limit: int) -> None:
        self._layers = layers
        self._limit = limit
        self._prefixes: list[_Prefix] = []  # the one used last at the end
        #: Bytes of memory that are kept; counted along, since there may be thousands of caches.
        self.nbytes = 0

    def take(self, prompt: Sequence[int], adapter: str = "", new: int = 0) -> GrowingCache:
        """Return a KV cache that holds a prefix of `prompt`, and is the caller's from now on.

        In each layer its keys are [1, heads, tokens of the prefix, head size], as its values
        are. It never holds the last id, which the model has to read for its first scores.
        If it has to grow, that is for the prompt and a reply of up to `new` tokens at once.
        """
        reserved = len(prompt) + min(new, REPLY)
        lengths = [
            shared(prompt[:-1], prefix.ids) if prefix.adapter == adapter else 0
            for prefix in self._prefixes
        ]
        length = max(lengths, default=0)
        if not length:
            cache = GrowingCache.empty(self._layers)
            cache.reserve(reserved)
            return cache
        index = lengths.index(length)
        prefix = self._prefixes.pop(index)
        if length < TAKEN_OVER * len(prefix.ids):
            self._prefixes.append(prefix)
            return prefix.cache.copy(length, reserved)
        self.nbytes -= prefix.cache.nbytes
        prefix.cache.cut(length)
        prefix.cache.reserve(reserved)
        return prefix.cache

    def keep(self, ids: Sequence[int], cache: GrowingCache, adapter: str = "") -> None:
        """Keep what `cache` holds for `ids`, whose last one the model has not read yet.

        The work on it may have been stopped anywhere: only what all layers hold counts.
        Room that is not filled stays with it, for its next turn, while there is memory.
        """
        length = min(cache.length, len(ids) - 1)
        cache.cut(length)
        if cache.nbytes > self._limit:
            cache.trim()
        if not length or cache.nbytes > self._limit:
            return
        self._prefixes.append(_Prefix(adapter, list(ids[:length]), cache))
        self.nbytes += cache.nbytes
        for prefix in self._prefixes:
            if self.nbytes <= self._limit:
                return
            self.nbytes -= prefix.cache.trim()
        while self.nbytes > self._limit:
            self.nbytes -= self._prefixes.pop(0).cache.nbytes

    def clear(self) -> None:
        """Let all memory go."""
        self._prefixes.clear()
        self.nbytes = 0


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many ids the two have in common before they first differ."""
    pairs = zip(first, second, strict=False)
    return next(
        (index for index, (one, other) in enumerate(pairs) if one != other),
        min(len(first), len(second)),
    )
