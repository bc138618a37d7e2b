"""Attention on a CPU for models whose query heads share key and value heads.

In grouped-query attention (Ainslie et al., GQA, 2023) transformers or torch first
copies the keys and values of each group, once for each of its query heads, which
takes up to ten times as long as the attention itself. The query heads of a group
can as well be the rows of one head: the same sums, without a copy.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from chat.engines.transformers.undocumented import (
    attention_of,
    sdpa_attention_forward,
    sdpa_mask,
)

NAME = "packed_sdpa"
#: What models pass on that changes nothing: the mask, the queries and the keys have it in them.
KNOWN = {"position_ids", "sliding_window", "use_cache", "is_causal"}


def use_packed_attention(model: PreTrainedModel) -> None:
    """Have `model` use this attention if it is on a CPU and uses torch's."""
    if model.device.type == "cpu" and attention_of(model) == "sdpa":
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Do what `sdpa_attention_forward` does, and leave to it what is not known here.

    `query` is [batch, heads, tokens, head size], `key` and `value` are [batch,
    groups, all tokens, head size], the mask is [batch, 1, tokens, all tokens], and
    the first that is returned is [batch, tokens, heads, head size].
    """
    batch, heads, tokens, size = query.shape
    groups = key.shape[1]
    # Several tokens without a mask attend causally, which a kernel of its own does well.
    causal = attention_mask is None and tokens > 1
    own_masks = attention_mask is not None and attention_mask.shape[1] > 1
    unknown = any(
        name not in KNOWN and value is not None and value is not False
        for name, value in rest.items()
    )
    if causal or own_masks or dropout or unknown:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **rest
        )
    packed = query.reshape(batch, groups, -1, size)  # [batch, groups, heads / groups * tokens, ..]
    if attention_mask is not None:
        attention_mask = attention_mask.repeat(1, 1, heads // groups, 1)
    sums = scaled_dot_product_attention(packed, key, value, attention_mask, scale=scaling)
    return sums.reshape(batch, heads, tokens, -1).transpose(1, 2), None
