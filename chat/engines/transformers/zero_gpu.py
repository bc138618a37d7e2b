"""transformers on ZeroGPU: a GPU for as long as a reply takes, in a forked process.

`spaces.GPU` (0.51.3) asks Hugging Face for a GPU and runs a plain generator in a
process forked from this one, where CUDA is real; here it is only played, for the
model to be loaded, and nothing computes. What goes in and out is pickled. When
the generator is closed here, it is closed there after what it yields next. For
how long the GPU is asked for is up to `lent`.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Generator, Iterable, Sequence
from contextlib import closing
from contextvars import copy_context
from functools import partial
from threading import Thread
from typing import Any

import spaces
from transformers import PreTrainedModel

from chat.core.engine import Cached, State
from chat.core.sampling import Sampling
from chat.engines.stream import StreamClosed, TokenStream
from chat.engines.transformers.engine import TransformersEngine, supported
from chat.engines.transformers.lent import Lent
from chat.engines.transformers.ready import limits
from chat.engines.transformers.worker import readable
from chat.errors import EngineError

CUT = "ZeroGPU ended this reply before it was finished. Please try again, or ask for fewer tokens."
FEWER = "A reply of fewer tokens asks for less."


class ZeroGPUEngine:
    """A `TransformersEngine` in each forked process, and none in this one (see `Engine`).

    ZeroGPU uses a process again only while it leaves it the GPU, and only so long
    KV caches are kept. The arguments are those of a `TransformersEngine`, without a watchdog:
    ZeroGPU itself ends what takes longer than was declared, with its process.
    """

    #: Each has a GPU of their own; who gets one, and when, is up to ZeroGPU.
    parallel = 8
    state: State = "ready"

    def __init__(
        self, model: PreTrainedModel, stop_ids: Iterable[int], window: int, **options: Any
    ) -> None:
        self.stop_ids, self.window = limits(model, stop_ids, window)
        self.supports = supported(options.get("guide"))
        self._make = partial(TransformersEngine, model, stop_ids, window, watchdog=0, **options)
        #: In a forked process alone, from its first reply on.
        self._engine: TransformersEngine | None = None
        self._lent = Lent(model, *_terms(sum(part.nbytes for part in model.parameters())))
        self._on_gpu = spaces.GPU(duration=self._seconds)(self._write)

    async def admit(self, sampling: Sampling) -> None:
        """See `Worker.admit`."""

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
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

    def _seconds(self, prompt: list[int], sampling: Sampling, negative: list[int]) -> int:
        """Return for how long to ask for a GPU; the arguments are those of `_write`."""
        return self._lent.seconds(
            len(prompt) + len(negative), sampling.max_new_tokens, _passes(negative)
        )

    def _follow(self, stream: TokenStream, *asked: Any) -> None:
        """Pass on what the forked process writes, and close it if nobody wants more."""
        error: EngineError | None = None
        written, first = 0, 0.0
        try:
            with closing(self._on_gpu(*asked)) as batches:
                for ids in batches:
                    if isinstance(ids, EngineError):
                        raise ids
                    if isinstance(ids, Cached):
                        stream.cached(ids.tokens)
                    if ids and not first:
                        first, written = time.monotonic(), -len(ids)
                    written += len(ids)
                    stream.put(*ids)
        except StreamClosed:
            pass
        except EngineError as caught:
            error = caught
        except Exception as caught:
            error = _from_spaces(caught) or readable(caught)
        finally:
            self._lent.took(time.monotonic() - first, written, _passes(asked[-1]))
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


def _passes(negative: list[int]) -> int:
    """Return how many forward passes a token takes: guidance reads another prompt too."""
    return 2 if negative else 1


def _terms(size: int) -> tuple[float, float]:
    """Return how many seconds of GPU, and of quota, `spaces` makes of each that is declared.

    On half an RTX Pro 6000 they are 1.5 of both, since it is slower than the half H200 that
    there was before. A model with more bytes than fit gets all of it, for twice the quota.
    """
    try:
        found = spaces.zero.config.get_config()
        whole, factor = found["xlarge_threshold"], found["duration_factor"]
    except (AttributeError, KeyError):  # nobody documents them
        return 1, 1
    return (1, 2) if whole and size > whole else (factor, factor)


def _from_spaces(caught: Exception) -> EngineError | None:
    """Return what `spaces` says to whoever asked, if it does: of a quota, of no GPU that is free.

    It raises gradio.Error, which is known here by its shape, for there is no page in here.
    """
    title, message = getattr(caught, "title", None), getattr(caught, "message", None)
    if not isinstance(title, str) or message is None:
        return None
    if "worker" in title:
        return EngineError(CUT)
    sentence = str(message).strip()
    less = re.search(r"vs\. [1-9]\d*s left|larger than the maximum", sentence)
    return EngineError(f"{sentence} {FEWER}" if less else sentence)
