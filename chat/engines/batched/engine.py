"""Many replies at once by transformers, in a process of its own (see `batcher`)."""

import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence

from chat.core.engine import State
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.batched.wire import Job, Plan, Ready
from chat.engines.remote import Remote
from chat.engines.resume import Begun, going_on
from chat.engines.watchdog import LEAST


class BatchedEngine:
    """One model of transformers, up to `parallel` replies at once (see `Engine`).

    It is loaded when this is made, and asked from `start` on, with the ids that end a reply. What
    is computed in a batch is rounded elsewhere than alone, so in 16 bits a greedy reply can go on
    with another one of two tokens that are almost equally likely.

    A reply that a process leaves unfinished, since it ended or hung for `watchdog` seconds (see
    `Remote`), goes on in the next one: a greedy one as it would have, and a drawn one as its seed
    would have it, whatever ties it down; but for rounding, since what is written is read again at
    once.

    Raises:
        ModelError: the model cannot be loaded, or not be run in this way.
    """

    stop_ids: frozenset[int] = frozenset()
    supports = frozenset(OPTIONAL)

    def __init__(self, plan: Plan, watchdog: float = LEAST) -> None:
        title = "The batched engine"
        self._remote = Remote("chat.engines.batched.loading", plan, title, watchdog).wait()
        #: What there is.
        self.ready: Ready = self._remote.ready
        self.parallel = self.ready.parallel
        self.window = self.ready.window

    def start(self, stop_ids: Iterable[int]) -> "BatchedEngine":
        """Take the ids that end a reply, which the model's own join."""
        self.stop_ids = frozenset(stop_ids) | self.ready.stop_ids
        return self

    @property
    def state(self) -> State:
        """See `Engine.state`."""
        return self._remote.state

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`; a grammar is compiled where the model is, beside its steps."""

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        if sampling.seed is None:  # so that it can be gone on with
            sampling = sampling.model_copy(update={"seed": secrets.randbits(32)})
        job = Job(0, list(prompt), sampling, self.stop_ids, list(negative))

        def ask(begun: Begun) -> AsyncGenerator[list[int]]:
            return self._remote.ask(job._replace(written=list(begun.ids)), begun)

        return going_on(ask, sampling, self.stop_ids)

    def close(self) -> None:
        """See `Engine.close`."""
        self._remote.close()
