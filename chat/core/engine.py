"""Engines: what runs a model. They take token ids and give token ids, and know no text."""

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, Protocol

from chat.core.sampling import Sampling

#: Seconds after which a consumer hears that there is nothing yet. A closed tab
#: is only noticed when something is sent to it.
TICK = 0.5

#: Whether an engine can answer: now, in a while, or not any more.
State = Literal["ready", "loading", "failed"]


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

    def generate(
        self, prompt: Sequence[int], sampling: Sampling, negative: Sequence[int] = ()
    ) -> AsyncGenerator[list[int]]:
        """Continue `prompt` (token ids), giving what is ready as it gets ready.

        `negative` is the prompt to keep away from, if `sampling` has one.

        Ends after one of `stop_ids` (which is given too) or after
        `sampling.max_new_tokens`. While the prompt is being read an empty list
        comes now and then. Closing the generator ends the work within one token.

        Raises:
            EngineError: the model failed; the engine is ready for the next prompt.
        """
        ...

    def close(self) -> None:
        """Give the worker back; the engine cannot be used afterwards."""
        ...
