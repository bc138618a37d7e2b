"""transformers on ZeroGPU: a GPU for as long as a reply takes, in a forked process.

`spaces.GPU` (0.51.3) asks Hugging Face for a GPU and runs a plain generator in a
process forked from this one, where CUDA is real; here it is only played, for the
model to be loaded, and nothing computes. What goes in and out is pickled. When
the generator is closed here, it is closed there after what it yields next.
"""

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import closing
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any

import spaces
from transformers import PreTrainedModel

from chat.core.engine import State
from chat.core.sampling import Sampling
from chat.engines.stream import StreamClosed, TokenStream
from chat.engines.transformers.engine import TransformersEngine, limits, supported
from chat.engines.transformers.worker import readable
from chat.errors import EngineError

#: What a GPU is asked for: seconds to begin with, tokens a second after that, and
#: no more seconds than ZeroGPU gives everyone. Asking for less is served sooner.
BEGIN, PACE, LONGEST = 15, 20, 120

CUT = "ZeroGPU ended this reply before it was finished. Please try again, or ask for fewer tokens."


def seconds(prompt: list[int], sampling: Sampling, negative: list[int]) -> int:
    """Return for how long a reply may take the GPU."""
    tokens = sampling.max_new_tokens * (2 if negative else 1)
    return min(BEGIN + tokens // PACE, LONGEST)


class ZeroGPUEngine:
    """A `TransformersEngine` in each forked process, and none in this one (see `Engine`).

    ZeroGPU uses a process again only while it leaves it the GPU, and only so long
    KV caches are kept. The arguments are those of a `TransformersEngine`.
    """

    #: Each has a GPU of their own; who gets one, and when, is up to ZeroGPU.
    parallel = 8
    state: State = "ready"

    def __init__(
        self, model: PreTrainedModel, stop_ids: Iterable[int], window: int, **options: Any
    ) -> None:
        self.stop_ids, self.window = limits(model, stop_ids, window)
        self.supports = supported(options.get("guide"))
        self._make = partial(TransformersEngine, model, stop_ids, window, **options)
        #: In a forked process alone, from its first reply on.
        self._engine: TransformersEngine | None = None
        self._on_gpu = spaces.GPU(duration=seconds)(self._write)

    async def admit(self, sampling: Sampling) -> None:
        """See `Worker.admit`."""

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, negative: Sequence[int] = ()
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        stream = TokenStream()
        asked = list(prompt), sampling, list(negative)
        # In the context of the request, by which `spaces` knows whose quota to take.
        Thread(target=copy_context().run, args=[self._follow, stream, *asked], daemon=True).start()
        try:
            async for ids in stream.batches():
                yield ids
        finally:
            stream.closed = True

    def close(self) -> None:
        """See `Engine.close`; the forked processes end with this one."""

    def _follow(self, stream: TokenStream, *asked: Any) -> None:
        """Pass on what the forked process writes, and close it if nobody wants more."""
        error: EngineError | None = None
        try:
            with closing(self._on_gpu(*asked)) as batches:
                for ids in batches:
                    if isinstance(ids, EngineError):
                        raise ids
                    stream.put(*ids)
        except StreamClosed:
            pass
        except EngineError as caught:
            error = caught
        except Exception as caught:
            error = _from_spaces(caught) or readable(caught)
        finally:
            stream.end(error)

    def _write(
        self, prompt: list[int], sampling: Sampling, negative: list[int]
    ) -> Generator[list[int] | EngineError]:
        """Generate, in the forked process; an error is given and not raised, lest it is printed."""
        try:
            self._engine = self._engine or self._make()
            batches = self._engine.generate(prompt, sampling, negative)
            with asyncio.Runner() as runner:  # which closes `batches` if this is closed
                loop = runner.get_loop()
                while (ids := loop.run_until_complete(anext(batches, None))) is not None:
                    yield ids
        except EngineError as error:
            yield error
        except Exception as error:
            yield readable(error)


def _from_spaces(caught: Exception) -> EngineError | None:
    """Return what `spaces` says to whoever asked, if it does: of a quota, of no GPU that is free.

    It raises gradio.Error, which is known here by its shape, for there is no page in here.
    """
    title, message = getattr(caught, "title", None), getattr(caught, "message", None)
    if not isinstance(title, str) or message is None:
        return None
    return EngineError(CUT if "worker" in title else str(message).strip())
