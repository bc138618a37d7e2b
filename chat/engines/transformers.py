"""`model.generate` of transformers, on one worker thread that lives as long as the engine."""

import gc
import logging
import threading
from collections.abc import AsyncGenerator, Iterable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch
from torch import nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.generation.streamers import BaseStreamer

from chat.engines.stream import StreamClosed, TokenStream
from chat.errors import EngineError, OutOfMemory, describe, out_of_memory
from chat.sampling import Sampling

log = logging.getLogger(__name__)


class _Request(NamedTuple):
    stream: TokenStream
    prompt: Sequence[int]
    sampling: Sampling


class TransformersEngine:
    """One model, one reply at a time (see `Engine`).

    `stop_ids` are joined by the model's own; `window` is at most what the model
    was trained for.
    """

    parallel = 1

    def __init__(self, model: PreTrainedModel, stop_ids: Iterable[int], window: int) -> None:
        self.stop_ids = frozenset(stop_ids) | _eos_ids(model.generation_config)
        trained_for = getattr(model.config.get_text_config(), "max_position_embeddings", window)
        self.window = min(window, trained_for)
        self._model = model
        # What a checkpoint ships as its defaults must not mix with the user's settings.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._current: TokenStream | None = None
        for module in model.modules():
            if isinstance(module, nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(self._check_between_layers)
        # bitsandbytes packs its weights in the first forward pass, without a lock.
        try:
            self._generate([min(self.stop_ids)] * 2, Sampling(max_new_tokens=2), None)
        except Exception as caught:
            raise _readable(caught) from None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a reply is being written."""
        return self._current is not None

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        stream = TokenStream()
        self._requests.put(_Request(stream, prompt, sampling))
        try:
            async for ids in stream.batches():
                yield ids
        finally:
            stream.closed = True

    def close(self) -> None:
        """See `Engine.close`."""
        if current := self._current:
            current.closed = True
        self._requests.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (request := self._requests.get()) is not None:
            self._answer(*request)

    def _answer(self, stream: TokenStream, prompt: Sequence[int], sampling: Sampling) -> None:
        error: Exception | None = EngineError("The model stopped working on this reply.")
        self._current = stream
        try:
            stream.check()
            self._generate(prompt, sampling, _Streamer(stream))
            error = None
        except StreamClosed:
            error = None
        except Exception as caught:
            error = _readable(caught)
        finally:
            self._current = None
            stream.end(error)

    def _generate(
        self, prompt: Sequence[int], sampling: Sampling, streamer: BaseStreamer | None
    ) -> None:
        ids = torch.tensor([prompt], device=self._model.device)
        with torch.inference_mode():
            self._model.generate(  # type: ignore[operator]
                ids,
                attention_mask=torch.ones_like(ids),
                generation_config=self._config(sampling),
                streamer=streamer,
            )

    def _config(self, sampling: Sampling) -> GenerationConfig:
        chosen: dict[str, Any] = {"do_sample": False}
        if not sampling.greedy:
            chosen = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
            }
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=sampling.max_new_tokens,
            repetition_penalty=sampling.repetition_penalty,
            eos_token_id=sorted(self.stop_ids),
            pad_token_id=min(self.stop_ids),
            **chosen,
        )

    def _check_between_layers(self, *_: Any) -> None:
        """Stop while a long prompt is being read, which is one forward pass."""
        if self._current:
            self._current.check()


class _Streamer(BaseStreamer):
    """Passes on what `generate` adds to the prompt, which it puts first."""

    def __init__(self, stream: TokenStream) -> None:
        self._stream = stream
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            self._stream.put(int(value))
        self._prompt_seen = True

    def end(self) -> None:
        pass  # generate does not come here when it fails, so _answer ends the stream


def _eos_ids(config: GenerationConfig | None) -> set[int]:
    eos = config.eos_token_id if config else None
    ids: list[int | None] = eos if isinstance(eos, list) else [eos]
    return {id for id in ids if id is not None}


def _readable(caught: Exception) -> EngineError:
    if out_of_memory(caught):
        gc.collect()
        torch.cuda.empty_cache()
        return OutOfMemory(
            "The model ran out of memory. A shorter conversation or fewer new tokens may fit."
        )
    log.error("While generating: %s", describe(caught))
    return EngineError("The model failed while it was working on this reply. Please try again.")
