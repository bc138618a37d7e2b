"""`model.generate` of transformers, for one reply at a time."""

import gc
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    PreTrainedModel,
    UnbatchedClassifierFreeGuidanceLogitsProcessor,
)
from transformers.generation.streamers import BaseStreamer

from chat.core.sampling import OPTIONAL, Sampling
from chat.engines.stream import StreamClosed
from chat.engines.transformers.assistant import Assistant
from chat.engines.transformers.guide import Guide
from chat.engines.transformers.kv_cache import growing_layers
from chat.engines.transformers.prefix_cache import PrefixCache
from chat.engines.transformers.processors import processors
from chat.engines.transformers.ready import limits, prepare, require_ids
from chat.engines.transformers.scores import Scores
from chat.engines.transformers.undocumented import read_only_new_tokens
from chat.engines.transformers.worker import Put, Worker
from chat.engines.watchdog import LEAST
from chat.errors import EngineError, OutOfMemory
from chat.models import cards

if TYPE_CHECKING:
    from chat.models.lora import Lora

#: The share of the memory that is free once the model is loaded, in which the KV
#: caches of earlier turns are kept; the reply that is being written needs the rest.
PREFIX_CACHE_SHARE = 0.25


class TransformersEngine(Worker):
    """One model, one reply at a time (see `Engine`).

    `stop_ids` are joined by the model's own; `window` is at most what the model
    was trained for. KV caches of earlier turns are kept in `prefix_cache_bytes` of memory,
    by default `PREFIX_CACHE_SHARE` of what is free. Replies are drafted in steps of
    `prompt_lookup` tokens from the text so far: several times as fast where a reply
    repeats its prompt, a little slower elsewhere, and off at 0; or by an `assistant`, a
    smaller model with the same tokens. Neither is for a model whose cache cannot be cut.
    With a `guide` replies can be tied down, and with a `lora` the model has adapters. For
    `watchdog` see `Worker`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Iterable[int],
        window: int,
        prefix_cache_bytes: int | None = None,
        prompt_lookup: int = 0,
        guide: Guide | None = None,
        lora: "Lora | None" = None,
        assistant: PreTrainedModel | None = None,
        watchdog: float = LEAST,
    ) -> None:
        super().__init__(self._write, self._recover, self._make_room, watchdog)
        self.stop_ids, self.window = limits(model, stop_ids, window)
        self.supports = supported(guide)
        self._guide = guide
        self._lora = lora
        self._model = model
        layers = growing_layers(model)
        # What was drafted and is not wanted has to be cut off again.
        self._prompt_lookup = prompt_lookup if layers else 0
        # What a checkpoint ships as its defaults must not mix with the user's settings.
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        assistant = assistant if layers else None
        if self._prompt_lookup or assistant:
            read_only_new_tokens(model)
        if prefix_cache_bytes is None:
            prefix_cache_bytes = int(cards.free_beside(model) * PREFIX_CACHE_SHARE)
        vocabulary = model.config.get_text_config().vocab_size
        self._assistant = assistant and Assistant(assistant, vocabulary, prefix_cache_bytes // 4)
        self._prefix_cache = PrefixCache(layers, prefix_cache_bytes) if layers else None
        #: To read prompts with, and to decode with.
        self._threads = torch.get_num_threads()
        beside = [assistant] if assistant else []
        self._few_threads = prepare(model, self.check, self._decode, beside)
        self.start()

    def _write(
        self, prompt: Sequence[int], sampling: Sampling, negative: Sequence[int], put: Put
    ) -> None:
        """Generate, and keep the KV cache unless there is an error, which may have spoilt it."""
        require_ids(self._model, prompt, negative)
        torch.set_num_threads(self._threads)  # for this thread alone
        ids = torch.tensor([prompt], device=self._model.device)
        adapter = ""
        if self._lora:
            adapter = sampling.adapter or self._lora.default
            self._lora.use(adapter)
        # Not where a processor counts on each place to come once: Guide, Scores, guidance.
        drafted = not sampling.needs()
        assistant = self._assistant if drafted else None
        if assistant and len(prompt) + sampling.max_new_tokens > assistant.window:
            assistant = None
        lookup = self._prompt_lookup if drafted and not assistant else 0
        changes = processors(
            len(prompt),
            sampling,
            self.stop_ids,
            self._model.device,
            self._guide.compiled(sampling) if self._guide and sampling.tied else None,
            self._guidance(sampling, negative),
            drafted=drafted,
        )
        scored: Callable[[int], int] = int
        if sampling.logprobs:
            scores = Scores(sampling.top_logprobs)
            changes.insert(0, scores)
            scored = scores.scored
        streamer = _Streamer(put, scored, self._few_threads)
        with torch.inference_mode():
            cache = None
            if self._prefix_cache:
                cache = self._prefix_cache.take(prompt, adapter, sampling.max_new_tokens)
                self.cached(cache.length)
            if assistant:
                assistant.new = sampling.max_new_tokens
            with suppress(StreamClosed):
                self._model.generate(  # type: ignore[operator]
                    ids,
                    attention_mask=torch.ones_like(ids),
                    generation_config=self._config(sampling, lookup),
                    logits_processor=changes,
                    past_key_values=cache,
                    streamer=streamer,
                    assistant_model=assistant.model if assistant else None,
                )
            if self._prefix_cache and cache:
                self._prefix_cache.keep([*prompt, *streamer.ids], cache, adapter)
            if assistant:
                assistant.end([*prompt, *streamer.ids])

    def _guidance(self, sampling: Sampling, negative: Sequence[int]) -> LogitsProcessor | None:
        """Return what keeps a reply away from another prompt.

        Classifier-free guidance (Sanchez et al., 2023): away from that prompt's scores.
        """
        if not negative:
            return None
        return UnbatchedClassifierFreeGuidanceLogitsProcessor(
            sampling.guidance_scale,
            self._model,
            torch.tensor([negative], device=self._model.device),  # type: ignore[arg-type]
        )

    def _config(self, sampling: Sampling, lookup: int) -> GenerationConfig:
        # do_sample would sort the whole vocabulary at each token; a Sampler does not.
        return GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=sampling.max_new_tokens,
            prompt_lookup_num_tokens=lookup or None,
            eos_token_id=sorted(self.stop_ids),
            pad_token_id=min(self.stop_ids),
        )

    def _decode(self, tokens: int, threads: int) -> None:
        self._few_threads = threads
        sampling = Sampling(max_new_tokens=tokens, min_new_tokens=tokens)
        begun = time.monotonic()
        self._write([min(self.stop_ids)] * 2, sampling, (), lambda *_: None)
        # The last time, when everything has its place; on a GPU many tokens take as long as one.
        if self._model.device.type == "cpu":
            layers = self._model.config.get_text_config(decoder=True).num_hidden_layers
            self.pace = (time.monotonic() - begun) / tokens / layers

    def _recover(self, error: EngineError) -> None:
        """See whether the GPU is lost, or let go of what the next reply can do without."""
        if cards.lost(self._model):
            self.state = "failed"
        elif isinstance(error, OutOfMemory):
            self._make_room()

    def _make_room(self) -> bool:
        """Let go of what the next reply can do without; return whether there can be one."""
        if self._prefix_cache:
            self._prefix_cache.clear()
        if self._assistant:
            self._assistant.clear()
        gc.collect()
        if cards.lost(self._model):
            return False
        torch.cuda.empty_cache()
        return True


def supported(guide: Guide | None) -> frozenset[str]:
    """Return which of `OPTIONAL` can be obeyed."""
    return frozenset(OPTIONAL) - (set() if guide else {"choices", "regex", "json_schema"})


class _Streamer(BaseStreamer):
    """Passes on what `generate` adds to the prompt ([1, tokens]), which it puts first."""

    def __init__(self, put: Put, scored: Callable[[int], int], threads: int) -> None:
        self.ids: list[int] = []
        self._put = put
        self._scored = scored
        self._threads = threads
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if self._prompt_seen:
            if not self.ids:
                torch.set_num_threads(self._threads)
            ids = value.flatten().tolist()
            self.ids += ids
            self._put(*map(self._scored, ids))
        self._prompt_seen = True

    def end(self) -> None:
        pass  # generate does not come here when it fails, so _answer ends the stream
