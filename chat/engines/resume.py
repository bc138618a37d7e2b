"""Replies that outlive what wrote them: a process, a server, a machine.

Whoever waits for a reply holds all that it takes to have the rest written elsewhere: the prompt,
and the ids so far. So it is asked for again, as a prompt that has grown and a reply that is
shorter. A greedy one goes on as it would have, but for rounding, since what is written is read
again at once. Of a drawn one the rest is another draw, as likely as the one that was lost, where
an engine draws from the beginning of its seed's numbers.
"""

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from chat.core.engine import Resumed
from chat.core.sampling import Sampling
from chat.errors import FAILED, Broken, EngineError

#: How many may end under one reply, before it is left as it is.
MOST = 2

_arrivals = count()


@dataclass(eq=False)
class Begun:
    """A reply, as far as it is written."""

    ids: list[int] = field(default_factory=list)
    #: How often what wrote it has ended.
    endings: int = 0
    #: Of two, who came later has the larger one.
    number: int = field(default_factory=partial(next, _arrivals))

    def rest(self, sampling: Sampling) -> Sampling:
        """Return the controls for what is left to write.

        Raises:
            EngineError: they cannot be kept to by one that takes what is written for a prompt.
        """
        if not self.ids:
            return sampling
        if sampling.tied or sampling.presence_penalty or sampling.frequency_penalty:
            raise EngineError(FAILED)
        return sampling.less(len(self.ids)).numbered(len(self.ids))


async def going_on(
    ask: Callable[[Begun], AsyncGenerator[list[int]]],
    sampling: Sampling,
    stop_ids: Collection[int],
) -> AsyncGenerator[list[int]]:
    """Give the ids of a reply, however often what writes it ends.

    `ask` gives those that follow what has begun, and raises Broken where that can be asked for
    once more.

    Raises:
        EngineError: it was asked for too often, or failed for another reason.
    """
    begun = Begun()
    while begun.endings <= MOST:
        if begun.endings:
            yield Resumed()
        try:
            async with aclosing(ask(begun)) as batches:
                async for ids in batches:
                    begun.ids += map(int, ids)
                    yield ids
            return
        except Broken:
            begun.endings += 1
        ended = bool(begun.ids) and begun.ids[-1] in stop_ids
        if ended or len(begun.ids) >= sampling.max_new_tokens:
            return
    raise EngineError(FAILED)
