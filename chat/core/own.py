"""How much of a prompt somebody has sent before: no more of it is said to be in a cache.

Prefix caches are everybody's, so that what all prompts begin with is read once. How much of a
prompt one had would tell whoever guesses what somebody else has written, token by token.
"""

from array import array
from collections.abc import Sequence
from itertools import takewhile

from cachetools import LRUCache

from chat.core.shares import Visitor

#: Bytes of all ids that are remembered, four for each.
MOST = 16_000_000


class Own:
    """The last prompt and reply of each conversation of each visitor, as ids."""

    def __init__(self, most: int = MOST) -> None:
        self._ids: LRUCache[tuple[str, str], array[int]] = LRUCache(most, _size)

    def shared(self, visitor: Visitor, session: str, prompt: Sequence[int]) -> int:
        """Return with how many tokens of that a prompt begins."""
        before = self._ids.get((_name(visitor), session), ())
        return sum(1 for _ in takewhile(bool, map(int.__eq__, prompt, before)))

    def keep(self, visitor: Visitor, session: str, ids: Sequence[int]) -> None:
        """Remember a prompt with its reply."""
        kept = array("I", ids)
        if _size(kept) <= self._ids.maxsize:
            self._ids[_name(visitor), session] = kept


def _name(visitor: Visitor) -> str:
    return visitor[-1].name if visitor else ""


def _size(ids: "array[int]") -> int:
    return 100 + ids.itemsize * len(ids)
