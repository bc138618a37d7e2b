"""Attention over the pool: each new token sees those of its own range, up to itself.

There are two ways. `RowByRow` takes one range after another, by torch's own attention on a view
of it: on any device. `Flash` takes all at once, by FlashAttention for sequences of different
lengths (Dao, 2023; `torch.nn.attention.varlen`), whose work is told by tensors alone, so that a
pass can be a CUDA graph: on cards from capability 8.0 on.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


class Segment(NamedTuple):
    """The new tokens of one range."""

    #: Where the range begins, and how many tokens it had before.
    start: int
    length: int
    new: int


class Layout(NamedTuple):
    """The same for all ranges of a pass, on the device, in 32 bits."""

    #: Where the ranges begin, [ranges + 1], of which the last does not matter.
    starts: Tensor
    #: How many tokens they have, the new ones included, [ranges].
    lengths: Tensor
    #: Where the new tokens of each begin among all that are new, and how many those are,
    #: [ranges + 1].
    offsets: Tensor
    #: The most new tokens of one.
    longest: int


class Attention(Protocol):
    """One way to attend."""

    def begin(self, segments: Sequence[Segment], layout: Layout) -> None:
        """Take up a pass."""
        ...

    def __call__(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        """Return the sums, [new tokens, heads, head size].

        `query` is [1, heads, new tokens, head size], of all ranges one after another; `keys` and
        `values` are the pool's, [tokens, groups, head size]. With a `window` a token sees so
        many, itself included.
        """
        ...


class RowByRow:
    """One range after another."""

    def begin(self, segments: Sequence[Segment], layout: Layout) -> None:
        """See `Attention.begin`."""
        self._segments = segments
        self._masks: dict[tuple[int, int, int], Tensor] = {}

    def __call__(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        """See `Attention.__call__`."""
        parts = torch.split(query, [segment.new for segment in self._segments], 2)
        sums = [
            self._one(part, keys, values, segment, scale, window)
            for part, segment in zip(parts, self._segments, strict=True)
        ]
        return (torch.cat(sums, 2) if len(sums) > 1 else sums[0])[0].transpose(0, 1)

    def _one(
        self,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        segment: Segment,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        start, length, new = segment
        end = length + new
        seen = max(0, length + 1 - window) if window else 0  # the first token that any of them sees
        at = slice(start + seen, start + end)
        key, value = keys[at].transpose(0, 1)[None], values[at].transpose(0, 1)[None]
        heads, groups = query.shape[1], keys.shape[1]
        if not length and not (window and new > window) and new > 1:
            # Below capability 8.0 only the slowest kernel takes heads that share keys.
            if heads != groups:
                key = key.repeat_interleave(heads // groups, 1)
                value = value.repeat_interleave(heads // groups, 1)
            return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale)
        # The heads of a group as rows of one head: nothing is copied (see
        # `chat.engines.transformers.attention`).
        packed = query.reshape(1, groups, heads // groups * new, query.shape[3])
        mask = None
        if new > 1:
            mask = self._mask(length - seen, new, window or 0, query.device)
            mask = mask.repeat(heads // groups, 1)
        sums = scaled_dot_product_attention(packed, key, value, mask, scale=scale)
        return sums.reshape(1, heads, new, value.shape[3])

    def _mask(self, length: int, new: int, window: int, device: torch.device) -> Tensor:
        """Return which of `length + new` tokens each of the last `new` sees, [new, length + new].

        It is the same in each layer with this window.
        """
        key = length, new, window
        if key not in self._masks:
            own = torch.arange(length, length + new, device=device)[:, None]
            other = torch.arange(length + new, device=device)
            mask = other <= own
            self._masks[key] = mask & (other > own - window) if window else mask
        return self._masks[key]


class Flash:
    """All ranges in one call of `varlen_attn`, or what is given in its place."""

    def __init__(self, tokens: int, attend: Callable[..., Any] | None = None) -> None:
        """Take the size of the pool."""
        from torch.nn.attention.varlen import varlen_attn

        self._tokens = tokens
        self._attend: Callable[..., Any] = attend or varlen_attn

    def begin(self, segments: Sequence[Segment], layout: Layout) -> None:
        """See `Attention.begin`."""
        self._layout = layout

    def __call__(
        self, query: Tensor, keys: Tensor, values: Tensor, scale: float | None, window: int | None
    ) -> Tensor:
        """See `Attention.__call__`."""
        layout = self._layout
        sums: Tensor = self._attend(
            query[0].transpose(0, 1),
            keys,
            values,
            layout.offsets,
            layout.starts,
            layout.longest,
            self._tokens,
            scale=scale,
            window_size=(window - 1 if window else -1, 0),
            enable_gqa=query.shape[1] != keys.shape[1],
            seqused_k=layout.lengths,
            num_splits=1,  # with more, ranges of a pool have come out wrong (pytorch #194167)
        )
        return sums
