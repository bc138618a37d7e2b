"""The pool: the keys and values of everybody's tokens, one tensor of each a layer."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from chat.engines.transformers.undocumented import Cache, DynamicLayer


class Shape(NamedTuple):
    """What one layer holds of a token."""

    heads: int
    #: Numbers in a head.
    key: int
    value: int


class PoolLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [tokens of the pool, heads, head size]."""

    keys: Tensor
    values: Tensor

    def __init__(self, pool: "PoolCache", shape: Shape) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._pool = pool
        heads, key, value = shape
        options: Any = {"dtype": pool.dtype, "device": pool.device}
        # A kernel for all ranges may look at places that nobody has filled, and leave them out; on
        # a CPU nothing does, and memory that is not filled is not taken.
        make = torch.empty if pool.device.type == "cpu" else torch.zeros
        # One more place, for what nobody reads.
        self.keys = make(pool.tokens + 1, heads, key, **options)
        self.values = make(pool.tokens + 1, heads, value, **options)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write what is new ([1, heads, new tokens, head size]); return all that there is."""
        self.keys.index_copy_(0, self._pool.places, key_states[0].transpose(0, 1))
        self.values.index_copy_(0, self._pool.places, value_states[0].transpose(0, 1))
        return self.keys, self.values

    def copy(self, source: int, target: int, length: int) -> None:
        """Have what is at `source` at `target` too; the two may overlap."""
        for part in (self.keys, self.values):
            part[target : target + length] = part[source : source + length].clone()


class PoolCache(Cache):
    """All layers, each with room for so many `tokens`; of many texts, so that it has no length."""

    #: Where each new token of the pass that runs goes, [new tokens]: set before it.
    places: Tensor

    def __init__(
        self, shapes: Sequence[Shape], tokens: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.tokens = tokens
        self.dtype = dtype
        self.device = device
        self._layers = [PoolLayer(self, shape) for shape in shapes]
        super().__init__(layers=[*self._layers])

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in self._layers)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy so many tokens from one place to another."""
        if length and source != target:
            for layer in self._layers:
                layer.copy(source, target, length)


def bytes_per_token(shapes: Sequence[Shape], dtype: torch.dtype) -> int:
    """Return what a token takes in a pool."""
    return sum(heads * (key + value) for heads, key, value in shapes) * dtype.itemsize
