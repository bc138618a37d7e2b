"""What of attention and caches in transformers (5.23) is used here alone and not documented.

tests/engines/transformers/test_undocumented.py holds each name and signature,
and says after an upgrade which of them has changed and what it was for.
"""

from functools import wraps
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer, DynamicSlidingWindowLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

__all__ = [
    "Cache",
    "DynamicLayer",
    "DynamicSlidingWindowLayer",
    "attention_of",
    "is_4_bit",
    "read_only_new_tokens",
    "sdpa_attention_forward",
    "sdpa_mask",
]


def attention_of(model: PreTrainedModel) -> str | None:
    """Return the name of the attention that `model` uses: `sdpa` is torch's."""
    name: str | None = model.config._attn_implementation
    return name


def is_4_bit(model: PreTrainedModel) -> bool:
    """Whether bitsandbytes holds the layers of `model` in 4 bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def read_only_new_tokens(model: Any) -> None:
    """Have `model.generate` leave out what the cache holds, with prompt lookup too.

    Prompt lookup decoding (Saxena, 2023) drafts what comes next from the text so far;
    the model checks a whole draft in one forward pass, and what it would have written
    otherwise replaces what it disagrees with. transformers brings it, for `generate`
    with `prompt_lookup_num_tokens`, but its first pass reads the prompt from its first
    token on even where a cache holds part of it, and the reply is silently wrong.
    """
    prepare = model.prepare_inputs_for_generation

    @wraps(prepare)  # generate looks at the signature, to see which arguments there are
    def prepared(
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        **rest: Any,
    ) -> Any:
        if next_sequence_length is None and past_key_values is not None:
            next_sequence_length = input_ids.shape[1] - past_key_values.get_seq_length()
        return prepare(
            input_ids,
            next_sequence_length=next_sequence_length,
            past_key_values=past_key_values,
            **rest,
        )

    model.prepare_inputs_for_generation = prepared
