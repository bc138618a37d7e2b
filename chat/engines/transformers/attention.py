"""Attention for models whose query heads share key and value heads, where torch's own is slow.

In grouped-query attention (Ainslie et al., GQA, 2023) transformers or torch first
copies the keys and values of each group, once for each of its query heads, which
takes up to ten times as long as the attention itself. The query heads of a group
can as well be the rows of one head: the same sums, without a copy.

That is for a CPU, and for a GPU below capability 8.0, where torch has no kernel for
shared heads but the plainest, which stores heads x tokens x tokens in float32: 8.6 GB
for a prompt of 8,192 tokens. There a prompt gets the copies, which are small beside it.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from chat.engines.transformers.undocumented import (
    attention_of,
    sdpa_attention_forward,
    sdpa_mask,
)

#: On a CPU, and on a GPU that has no kernel for shared heads.
NAME, COPYING = "packed_sdpa", "packed_sdpa_copying"
#: The capability from which on a GPU has one.
SHARES_HEADS = (8, 0)
#: What models pass on that changes nothing: the mask, the queries and the keys have it in them.
KNOWN = {"position_ids", "sliding_window", "use_cache", "is_causal"}


def use_packed_attention(model: PreTrainedModel) -> None:
    """Have `model` use this attention if it uses torch's, and torch's is slow where it is."""
    name = packed_attention(model.device)
    if name and attention_of(model) == "sdpa":
        AttentionInterface.register(name, partial(_attend, copying=name == COPYING))
        AttentionMaskInterface.register(name, sdpa_mask)
        model.set_attn_implementation(name)


def packed_attention(device: torch.device) -> str | None:
    """Return the name of the attention that is quick on `device`, or None for torch's own."""
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < SHARES_HEADS:
        return COPYING
    return NAME if device.type == "cpu" else None


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    *,
    copying: bool,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Do what `sdpa_attention_forward` does, and leave to it what is not known here.

    `query` is [batch, heads, tokens, head size], `key` and `value` are [batch,
    groups, all tokens, head size], the mask is [batch, 1, tokens, all tokens], and
    the first that is returned is [batch, tokens, heads, head size].
    """
    batch, heads, tokens, size = query.shape
    groups = key.shape[1]
    several = tokens > 1
    own_masks = attention_mask is not None and attention_mask.shape[1] > 1
    unknown = any(
        name not in KNOWN and value is not None and value is not False
        for name, value in rest.items()
    )
    # Several tokens without a mask attend causally, which a kernel of a CPU does well.
    if own_masks or dropout or unknown or (several and attention_mask is None and not copying):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    if several and copying:
        key, value = (part.repeat_interleave(heads // groups, 1) for part in (key, value))
        causal = attention_mask is None and _is_causal(module, rest.get("is_causal"))
        sums = scaled_dot_product_attention(
            query, key, value, attention_mask, scale=scaling, is_causal=causal
        )
        return sums.transpose(1, 2).contiguous(), None
    packed = query.reshape(batch, groups, -1, size)  # [batch, groups, heads / groups * tokens, ..]
    if attention_mask is not None:
        attention_mask = attention_mask.repeat(1, 1, heads // groups, 1)
    sums = scaled_dot_product_attention(packed, key, value, attention_mask, scale=scaling)
    return sums.reshape(batch, heads, tokens, -1).transpose(1, 2), None


def _is_causal(module: nn.Module, said: bool | None) -> bool:
    return bool(getattr(module, "is_causal", True)) if said is None else said
