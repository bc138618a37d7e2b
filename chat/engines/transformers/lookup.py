"""Prompt lookup decoding (Saxena, 2023): drafts of what comes next, taken from the text so far.

The model checks a whole draft in one forward pass, and what it would have written
otherwise replaces what it disagrees with. transformers brings it, for `generate`
with `prompt_lookup_num_tokens`, but in version 5.23 its first pass reads the
prompt from its first token on even where a cache holds part of it, and the reply
is silently wrong.
"""

from functools import wraps
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache


def read_only_what_is_new(model: Any) -> None:
    """Have `model.generate` leave out what the cache holds, whichever way it decodes."""
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
