"""Engines: what runs a model. They take token ids and give token ids, and know no text."""

from collections.abc import AsyncGenerator, Container, Sequence
from typing import Any, Literal, Protocol, Self

from chat.core.sampling import Sampling

#: Seconds after which a consumer hears that there is nothing yet. A closed tab
#: is only noticed when something is sent to it.
TICK = 0.5

#: Whether an engine can answer: now, in a while, or not any more.
State = Literal["ready", "loading", "failed"]


class Scored(int):
    """A token id, and how likely the model found it.

    Log probabilities are natural, and of the model's own distribution: the log softmax of its
    scores before biases, penalties, grammars and temperature, as vLLM's `raw_logprobs` are.
    """

    #: Its own.
    logprob: float
    #: The ids of the likeliest tokens in its place with theirs, the likeliest first.
    top: tuple[tuple[int, float], ...]

    def __new__(cls, id: int, logprob: float, top: tuple[tuple[int, float], ...] = ()) -> Self:
        """See the attributes."""
        self = super().__new__(cls, id)
        self.logprob = logprob
        self.top = top
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how to make it anew, in another process."""
        return Scored, (int(self), self.logprob, self.top)


class Resumed(list[int]):
    """Nothing yet: what wrote the reply has ended, and another goes on with it."""


class Queued(list[int]):
    """Nothing yet: others come first where the model is."""


class Cached(list[int]):
    """Nothing yet: the first `tokens` of the prompt lie in the prefix cache, and are not read."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens


class Engine(Protocol):
    """One loaded model."""

    #: How many replies it writes at once.
    parallel: int
    #: Most tokens that a prompt and its reply may have together.
    window: int
    #: Which of `chat.core.sampling.OPTIONAL` it can obey.
    supports: frozenset[str]
    #: The ids that end a reply.
    stop_ids: frozenset[int]

    @property
    def state(self) -> State:
        """Whether it can answer."""
        ...

    async def admit(self, sampling: Sampling) -> None:
        """Get ready for what ties a reply down, if it does not keep others waiting.

        Raises:
            BadRequest: it would.
        """
        ...

    def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """Continue `prompt` (token ids), giving what is ready as it gets ready.

        `negative` is the prompt to keep away from, if `sampling` has one. The ids are
        `Scored` if it asks for `logprobs`. `session` is the same for all turns of a conversation,
        so that those who share work out among themselves can give them to the same one.

        Ends after one of `stop_ids` (which is given too) or after
        `sampling.max_new_tokens`. While the prompt is being read an empty list
        comes now and then, and `Resumed` where another goes on with the reply. Before the first
        token there is a `Cached` where that is known; the last one counts.
        Closing the generator ends the work within one token.

        Raises:
            EngineError: the model failed; the engine is ready for the next prompt.
        """
        ...

    def close(self) -> None:
        """Give the worker back; the engine cannot be used afterwards."""
        ...


def until_stop(ids: list[int], stop_ids: Container[int]) -> list[int]:
    """Return ids up to the first that ends a reply, with that."""
    ends = (place for place, id in enumerate(ids, 1) if id in stop_ids)
    return ids[: next(ends, None)]
