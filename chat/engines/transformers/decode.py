"""Greedy decoding, written out: what `model.generate` does, a token at a time.

A causal language model maps n tokens to n rows of logits, of which the last one
says what comes next. To read everything again for each new token would be a
waste: attention needs of the earlier tokens only their keys and values, and the
model returns those as `past_key_values`, the KV cache. So there are two phases:

    prefill    input [1, n]    reads the prompt, fills the cache, gives one token
    decode     input [1, 1]    reads that token, adds to the cache, gives the next

Both give logits [1, tokens read, vocabulary]; in each layer the cache holds keys and
values, each [1, heads, tokens so far, head size].
"""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel


class Step(NamedTuple):
    """One forward pass, and the token that it chose."""

    id: int
    #: The shape of the input: batch, tokens.
    input: tuple[int, ...]
    #: For how many layers the cache holds keys and values.
    layers: int
    #: The shape of one layer's keys: batch, heads, tokens, size of a head.
    cache: tuple[int, ...]
    #: What it was chosen by: the last row of the logits, [vocabulary].
    logits: torch.Tensor


def decode(
    model: PreTrainedModel, ids: Sequence[int], max_new_tokens: int, stop_ids: Collection[int]
) -> Iterator[Step]:
    """Continue `ids`, always with the likeliest token, up to one of `stop_ids` (given too)."""
    cache = None
    unread = list(ids)
    for _ in range(max_new_tokens):
        with torch.inference_mode():
            new = torch.tensor([unread], device=model.device)
            output = model(input_ids=new, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits = output.logits[0, -1]
        unread = [int(logits.argmax())]
        # Recurrent layers of a hybrid model have none.
        keys = [layer.keys for layer in cache.layers if getattr(layer, "keys", None) is not None]
        shape = tuple(keys[0].shape) if keys else ()
        yield Step(unread[0], tuple(new.shape), len(keys), shape, logits)
        if unread[0] in stop_ids:
            return
