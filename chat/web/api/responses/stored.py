"""Responses that are kept, so that a later request can go on with one.

They are in memory alone, of this server, and bounded in number and in bytes: the least
recently used are forgotten first, and all of them when the server ends. What people said in
them is theirs, so none of it is ever written to a disk or a log. Whoever knows the id of a
response can read it and go on with it, which is why ids cannot be guessed; and since all
programs share one key, the id is all that keeps one's conversations from another's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from cachetools import LRUCache

from chat.web.api.errors import Missing
from prompts import Message

#: How many responses are kept, and bytes of all of them.
MOST, MOST_BYTES = 1000, 64 * 2**20
#: How many of their items can be told by an id.
MOST_ITEMS = 10 * MOST

#: Bytes of one, with its conversation; beyond it, it is not kept.
LONGEST = MOST_BYTES // 16


@dataclass(frozen=True)
class Stored:
    """A response that is kept."""

    #: As it was answered, in JSON.
    written: bytes
    #: What it answered, without instructions.
    asked: Sequence[Message]
    #: The same with the reply.
    conversation: Sequence[Message]
    #: The items of the answer.
    output: Sequence[Mapping[str, Any]] = ()

    @property
    def size(self) -> int:
        """Bytes that it takes, as if it shared nothing with others."""
        calls = [call for one in self.conversation for call in one.calls]
        parts = [part for one in [*self.conversation, *calls] for part in one]
        return 2 * len(self.written) + sum(map(getsizeof, parts))


class NoSuchResponse(Missing):
    """A response was never kept, or is forgotten; `param` names it."""

    def __init__(self, param: str) -> None:
        code = "previous_response_not_found" if param == "previous_response_id" else None
        sentence = "There is no such response here; it was not kept, or is forgotten."
        super().__init__(sentence, param, code)


class NoSuchItem(Missing):
    """An item was in no response that is kept; `param` names where it was to be."""

    def __init__(self, param: str) -> None:
        sentence = (
            "There is no such item here; its response was not kept, or is forgotten. Send the item "
            "itself."
        )
        super().__init__(sentence, param, None)


class Keeper:
    """Keeps responses by their ids. Not for several threads."""

    def __init__(self) -> None:
        # Small ones count for more than they are, which bounds their number.
        self._kept: LRUCache[str, Stored] = LRUCache(
            MOST_BYTES, getsizeof=lambda one: max(one.size, MOST_BYTES // MOST)
        )
        #: In which response an item was.
        self._places: LRUCache[str, str] = LRUCache(MOST_ITEMS)

    def keep(self, id: str, response: Stored) -> None:
        """Keep a response, unless it is too long for that."""
        if response.size <= LONGEST:
            self._kept[id] = response
            self._places.update({item["id"]: id for item in response.output})

    def find(self, id: str, param: str) -> Stored:
        """Return the response of this id, which the field `param` names.

        Raises:
            NoSuchResponse: it is not here.
        """
        if found := self._kept.get(id):
            return found
        raise NoSuchResponse(param)

    def item(self, id: str, param: str) -> Mapping[str, Any]:
        """Return the item of this id, which the field `param` names, of an answer that is kept.

        Raises:
            NoSuchItem: it is in none.
        """
        kept = self._kept.get(self._places.get(id, ""))
        found = next((item for item in kept.output if item["id"] == id), None) if kept else None
        if found is None:
            raise NoSuchItem(param)
        return found

    def forget(self, id: str) -> None:
        """Forget a response.

        Raises:
            NoSuchResponse: it is not here.
        """
        if self._kept.pop(id, None) is None:
            raise NoSuchResponse("id")
