"""A smaller model that drafts what the model then checks.

Speculative decoding (Leviathan et al., 2023): the assistant writes a few tokens, the model
reads them in one forward pass, and what it would have written otherwise replaces what it
disagrees with. transformers brings it, for `generate` with `assistant_model`. Tokens are
drawn by a `Sampler`, which has one random number for each place, so that a drawn reply is
checked like a greedy one.
"""

import math
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from torch import Tensor
from torch.nn.functional import pad
from transformers import GenerationConfig, PreTrainedModel

from chat.engines.transformers.kv_cache import GrowingCache, growing_layers
from chat.engines.transformers.prefix_cache import PrefixCache, shared
from chat.errors import ModelError

#: How many tokens it drafts at first; more while they are right, and fewer while they are not.
DRAFTED = 5


def require_cut(model: PreTrainedModel) -> None:
    """Raise ModelError if what `model` has read cannot be taken back, as drafts have to be."""
    if not growing_layers(model):
        raise ModelError(
            f"A model of the kind {model.config.model_type} cannot take back what was drafted in "
            "vain; leave out --assistant-model."
        )


class Assistant:
    """Gets a model ready to draft for another one, of the same tokens.

    KV caches of earlier turns are kept here too, in `limit` bytes, else each reply
    would begin with the assistant reading the conversation.
    """

    def __init__(self, model: PreTrainedModel, vocabulary: int, limit: int) -> None:
        """Take `vocabulary` from the other model: how many scores it gives for the next token."""
        self.model = model
        config = model.config.get_text_config()
        #: Most tokens of a prompt and its reply.
        self.window: float = getattr(config, "max_position_embeddings", math.inf)
        model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            num_assistant_tokens=DRAFTED,
            num_assistant_tokens_schedule="heuristic_transient",
            assistant_confidence_threshold=0.0,  # of scores, of which a Sampler leaves none
        )
        fit(model, vocabulary)
        layers = growing_layers(model)
        self._prefix_cache = PrefixCache(layers, limit) if layers else None
        #: The cache of this reply, and the ids that it was computed from.
        self._cache: GrowingCache | None = None
        self._read: list[int] = []
        #: Most tokens that the reply gets, for room.
        self.new = 0
        self._warm(model)

    def end(self, ids: Sequence[int]) -> None:
        """Keep the KV cache, but for what was drafted in vain; `ids` are the prompt and reply."""
        if self._prefix_cache and self._cache:
            right = shared(ids, self._read)
            self._prefix_cache.keep([*ids[:right], -1], self._cache)
        self._cache, self._read = None, []

    def clear(self) -> None:
        """Let go of all KV caches, that of a reply which ended with an error too."""
        if self._prefix_cache:
            self._prefix_cache.clear()
        self._cache, self._read = None, []

    def _warm(self, model: Any) -> None:
        """Have the first draft of a reply begin with what a kept cache holds."""
        generate: Callable[..., Any] = model.generate

        @wraps(generate)
        def drafting(input_ids: Tensor, **rest: Any) -> Any:
            if self._prefix_cache and rest.get("past_key_values") is None:
                self._cache = self._prefix_cache.take(input_ids[0].tolist(), new=self.new)
                rest["past_key_values"] = self._cache
            output = generate(input_ids=input_ids, **rest)
            self._read = output.sequences[0].tolist()
            return output

        model.generate = drafting


def fit(model: PreTrainedModel, vocabulary: int) -> None:
    """Have `model` read and score so many tokens: families pad the same ones to other sizes."""
    config = model.config.get_text_config()
    own = config.vocab_size
    if own == vocabulary:
        return

    def read(embedding: Any, given: Any) -> Any:
        return (given[0].clamp(max=own - 1),)

    def score(model: Any, given: Any, output: Any) -> Any:
        # [.., tokens, vocabulary], cut or filled with what never wins.
        output.logits = pad(output.logits, (0, vocabulary - own), value=-1e4)
        return output

    model.get_input_embeddings().register_forward_pre_hook(read)
    model.register_forward_hook(score)
    config.vocab_size = vocabulary
