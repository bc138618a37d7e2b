"""`model.generate` of transformers, on one worker thread that lives as long as the engine."""

import gc
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, NamedTuple

import psutil
import torch
from torch import nn
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    PreTrainedModel,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from transformers.generation.streamers import BaseStreamer

from chat.core.engine import State
from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.stream import StreamClosed, TokenStream
from chat.engines.transformers.cpu.attention import pack_groups
from chat.engines.transformers.cpu.linear import call_at_once
from chat.engines.transformers.cpu.threads import worth
from chat.engines.transformers.guide import Guide
from chat.engines.transformers.kv_cache import growing_layers
from chat.engines.transformers.lookup import read_only_what_is_new
from chat.engines.transformers.prefix_cache import KeptCaches
from chat.engines.transformers.sampler import Sampler
from chat.errors import FAILED, EngineError, OutOfMemory, describe, out_of_memory

log = logging.getLogger(__name__)

#: The share of the memory that is free once the model is loaded, in which the KV
#: caches of earlier turns are kept; the reply that is being written needs the rest.
KEPT_SHARE = 0.25


class _Request(NamedTuple):
    stream: TokenStream
    prompt: Sequence[int]
    sampling: Sampling
    negative: Sequence[int]


class TransformersEngine:
    """One model, one reply at a time (see `Engine`).

    `stop_ids` are joined by the model's own; `window` is at most what the model
    was trained for. KV caches of earlier turns are kept in `kept_bytes` of memory,
    by default `KEPT_SHARE` of what is free. Greedy replies are drafted in steps of
    `prompt_lookup` tokens from the text so far: several times as fast where a reply
    repeats its prompt, a little slower elsewhere, and off at 0. With a `guide`
    replies can be tied down.
    """

    parallel = 1
    state: State = "ready"

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Iterable[int],
        window: int,
        kept_bytes: int | None = None,
        prompt_lookup: int = 0,
        guide: Guide | None = None,
    ) -> None:
        self.supports = frozenset(OPTIONAL if guide else ("negative_prompt",))
        self._guide = guide
        self.stop_ids = frozenset(stop_ids) | _eos_ids(model.generation_config)
        trained_for = getattr(model.config.get_text_config(), "max_position_embeddings", window)
        self.window = min(window, trained_for)
        self._model = model
        # What a checkpoint ships as its defaults must not mix with the user's settings.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._prompt_lookup = prompt_lookup
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._current: TokenStream | None = None
        self._start(kept_bytes)

    def _start(self, kept_bytes: int | None = None) -> None:
        """Make the model quick, warm it up, and start the worker."""
        model = self._model
        if kept_bytes is None:
            kept_bytes = int(_free_bytes(model.device) * KEPT_SHARE)
        if self._prompt_lookup:
            read_only_what_is_new(model)
        pack_groups(model)
        layers = growing_layers(model)
        self._kept = KeptCaches(layers, kept_bytes) if layers else None
        for module in model.modules():
            if isinstance(module, nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(self._check_between_layers)
        #: To read prompts with, and to decode with.
        self._threads = self._few_threads = torch.get_num_threads()
        try:
            # bitsandbytes packs its weights in the first pass, without a lock.
            self._warm_up(2, self._threads)
            if model.device.type == "cpu":
                call_at_once(model)
                self._few_threads = worth(self._threads, self._warm_up)
        except Exception as caught:
            raise readable(caught) from None
        finally:
            torch.set_num_threads(self._threads)
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a reply is being written."""
        return self._current is not None

    async def generate(
        self, prompt: Sequence[int], sampling: Sampling, negative: Sequence[int] = ()
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        stream = TokenStream()
        self._requests.put(_Request(stream, prompt, sampling, negative))
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

    def _answer(
        self,
        stream: TokenStream,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int],
    ) -> None:
        error: Exception | None = EngineError("The model stopped working on this reply.")
        self._current = stream
        try:
            stream.check()
            self._generate(prompt, sampling, stream.put, negative)
            error = None
        except StreamClosed:
            error = None
        except Exception as caught:
            error = readable(caught)
            if _lost(self._model.device):
                self.state = "failed"
        finally:
            if isinstance(error, OutOfMemory):
                self._make_room()
            self._current = None
            stream.end(error)

    def _generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        put: Callable[..., None],
        negative: Sequence[int] = (),
    ) -> None:
        """Generate, and keep the KV cache unless there is an error, which may have spoilt it."""
        torch.set_num_threads(self._threads)  # for this thread alone
        streamer = _Streamer(put, self._few_threads)
        ids = torch.tensor([prompt], device=self._model.device)
        processors: list[LogitsProcessor] = []
        if negative:
            # Classifier-free guidance (Sanchez et al., 2023): away from the other prompt's scores.
            processors.append(
                UnbatchedClassifierFreeGuidanceLogitsProcessor(
                    sampling.guidance_scale,
                    self._model,
                    torch.tensor([negative], device=ids.device),  # type: ignore[arg-type]
                )
            )
        if self._guide and (sampling.pattern or sampling.json_schema):
            processors.append(self._guide.processor(sampling))
        if not sampling.greedy:
            processors.append(Sampler(sampling, ids.device))
        with torch.inference_mode():
            cache = self._kept.take(prompt) if self._kept else None
            with suppress(StreamClosed):
                self._model.generate(  # type: ignore[operator]
                    ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=self._config(sampling),
                    logits_processor=processors,
                    past_key_values=cache,
                    streamer=streamer,
                )
            if self._kept and cache:
                self._kept.keep([*prompt, *streamer.ids], cache)

    def _warm_up(self, tokens: int, threads: int) -> None:
        self._few_threads = threads
        sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
        self._generate([min(self.stop_ids)] * 2, sampling, lambda *_: None)

    def _config(self, sampling: Sampling) -> GenerationConfig:
        plain = sampling.greedy and not sampling.needs()
        # do_sample would sort the whole vocabulary at each token; a Sampler does not.
        return GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=sampling.max_new_tokens,
            min_new_tokens=sampling.min_new_tokens or None,
            repetition_penalty=sampling.repetition_penalty if sampling.greedy else None,
            # Not where a processor counts on each position to come once: Sampler and Guide.
            prompt_lookup_num_tokens=self._prompt_lookup or None if plain else None,
            eos_token_id=sorted(self.stop_ids),
            pad_token_id=min(self.stop_ids),
        )

    def _make_room(self) -> None:
        """Let go of what the next request can do without."""
        if self._kept:
            self._kept.clear()
        gc.collect()
        torch.cuda.empty_cache()

    def _check_between_layers(self, *_: Any) -> None:
        """Stop while a long prompt is being read, which is one forward pass."""
        if self._current:
            self._current.check()


class _Streamer(BaseStreamer):
    """Passes on what `generate` adds to the prompt, which it puts first."""

    def __init__(self, put: Callable[..., None], threads: int) -> None:
        self.ids: list[int] = []
        self._put = put
        self._threads = threads
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            if not self.ids:
                torch.set_num_threads(self._threads)
            ids = value.flatten().tolist()
            self.ids += ids
            self._put(*ids)
        self._prompt_seen = True

    def end(self) -> None:
        pass  # generate does not come here when it fails, so _answer ends the stream


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def _lost(device: torch.device) -> bool:
    """Whether a GPU is lost to this process: after some errors each call to it fails."""
    if device.type == "cuda":
        try:
            torch.cuda.synchronize(device)
        except RuntimeError:
            return True
    return False


def _eos_ids(config: GenerationConfig | None) -> set[int]:
    eos = config.eos_token_id if config else None
    ids: list[int | None] = eos if isinstance(eos, list) else [eos]
    return {id for id in ids if id is not None}


def readable(caught: Exception) -> EngineError:
    """Return the error that people see instead of `caught`, which goes to the log."""
    if out_of_memory(caught):
        return OutOfMemory(
            "The model ran out of memory. A shorter conversation or fewer new tokens may fit."
        )
    log.error("While generating: %s", describe(caught))
    return EngineError(FAILED)
