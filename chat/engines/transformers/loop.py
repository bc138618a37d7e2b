"""`chat.engines.transformers.decode` as an engine, to watch it at work."""

import inspect
import time
from collections.abc import Callable, Iterable, Sequence

import torch
from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.transformers.decode import Step, decode
from chat.engines.transformers.ready import limits, prepare
from chat.engines.transformers.scores import scored
from chat.engines.transformers.worker import Put, Worker
from chat.engines.watchdog import LEAST
from chat.errors import ModelError


class LoopEngine(Worker):
    """`decode`, greedy whatever the sampling says (see `Engine`).

    `show` is called with the number of each step, from 0 on, and the step, from
    the worker's thread. For `watchdog` see `Worker`.

    Raises:
        ModelError: the model has no KV cache, or what it computes are no numbers.
    """

    supports = frozenset({"logprobs", "top_logprobs"})

    def __init__(
        self,
        model: PreTrainedModel,
        stop_ids: Iterable[int],
        window: int,
        show: Callable[[int, Step], None],
        watchdog: float = LEAST,
    ) -> None:
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            raise ModelError("This model has no KV cache, which is what --loop shows.")
        super().__init__(self._write, watchdog=watchdog)
        if "longrope" in str(getattr(model.config, "rope_parameters", None)):
            # In a text that grows longer than this, keys are turned in another way, and those
            # that the cache holds would be wrong.
            window = min(window, model.config.original_max_position_embeddings)
        self.stop_ids, self.window = limits(model, stop_ids, window)
        self._model = model
        self._show = show
        prepare(model, self.check, self._decode)
        self.start()

    def _write(
        self, prompt: Sequence[int], sampling: Sampling, negative: Sequence[int], put: Put
    ) -> None:
        steps = decode(self._model, prompt, sampling.max_new_tokens, self.stop_ids)
        for number, step in enumerate(steps):
            self._show(number, step)
            asked = sampling.logprobs
            put(scored(step.logits, step.id, sampling.top_logprobs) if asked else step.id)

    def _decode(self, tokens: int, threads: int) -> None:
        torch.set_num_threads(threads)
        begun = time.monotonic()
        for _ in decode(self._model, [min(self.stop_ids)] * 2, tokens, ()):
            pass
        layers = self._model.config.get_text_config(decoder=True).num_hidden_layers
        self.pace = (time.monotonic() - begun) / tokens / layers
