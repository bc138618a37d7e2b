"""Attention on a CPU for models whose query heads share key and value heads.

transformers or torch first copies the keys and values of each group, once for
each of its query heads, which takes up to five times as long as the attention
itself. The query heads of a group can as well be the rows of one head: the same
sums, without a copy.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "packed_sdpa"
#: What changes the sums, and what is left to transformers where it is asked for.
SPECIAL = ("position_bias", "softcap", "cache")


def pack_groups(model: PreTrainedModel) -> None:
    """Have `model` use this attention if it is on a CPU and uses torch's."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, sdpa_mask)
        model.set_attn_implementation(NAME)


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Do what `sdpa_attention_forward` does, for `query` of [batch, heads, tokens, size]."""
    batch, heads, tokens, size = query.shape
    groups = key.shape[1]
    # Several tokens without a mask attend causally, which a kernel of its own does well.
    causal = attention_mask is None and tokens > 1
    own_masks = attention_mask is not None and attention_mask.shape[1] > 1
    if causal or own_masks or any(rest.get(name) is not None for name in SPECIAL):
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **rest
        )
    packed = query.reshape(batch, groups, -1, size)
    if attention_mask is not None:
        attention_mask = attention_mask.repeat(1, 1, heads // groups, 1)
    sums = scaled_dot_product_attention(packed, key, value, attention_mask, scale=scaling)
    return sums.reshape(batch, heads, tokens, -1).transpose(1, 2), None
