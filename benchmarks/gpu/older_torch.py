"""The app's attention on a torch before 2.13, which a bare machine may have.

`varlen_attn` has grown its arguments from release to release, and the operator below it,
which is not documented, has had them since 2.5.
"""

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import varlen

#: What the app asks of `varlen_attn`.
ASKED = {"scale", "window_size", "enable_gqa", "seqused_k", "num_splits"}


def mend() -> bool:
    """Have `varlen_attn` take what the app gives it; return whether it did not."""
    lacking = not inspect.signature(varlen.varlen_attn).parameters.keys() >= ASKED
    if lacking:
        vars(varlen)["varlen_attn"] = by_operator
    return lacking


def by_operator(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    starts: Tensor,
    longest: int,
    longest_keys: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    seqused_k: Tensor,
    **_: Any,
) -> Tensor:
    """Return the same sums, [tokens, heads, size], as `varlen_attn` of torch 2.13 does.

    Heads that share keys need no word of it there, and it splits nothing without pages.
    """
    left, right = window_size
    sums: Tensor = torch.ops.aten._flash_attention_forward(
        query,
        keys,
        values,
        offsets,
        starts,
        longest,
        longest_keys,
        0.0,
        window_size == (-1, 0),
        False,
        scale=scale,
        window_size_left=left,
        window_size_right=right,
        seqused_k=seqused_k,
    )[0]
    return sums
