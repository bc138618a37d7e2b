"""A KV cache that grows in place, and can be cut back to a prefix of what it holds.

transformers' own layer copies all the keys and values that it holds at each
token, to append one. `GrowingLayer` writes into room that it has in reserve: for a
prompt and its reply at once, if it is told how long they get.
"""

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel

from chat.engines.transformers.undocumented import (
    Cache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)

#: Room is for a multiple of so many tokens. What outgrows it is copied, into a quarter more.
CHUNK = 64


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """The keys and the values of one layer, each [batch, heads, tokens, head size].

    The heads are those of keys and values, which may be fewer than those of queries.

    `keys` and `values` are views of the filled part of the room, so cropping these
    views, which transformers does, is all it takes to write there again.
    """

    _room: tuple[Tensor, Tensor]
    #: Tokens that there has to be room for as soon as it grows.
    reserved = 0

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Take shape, type and device from the first keys and values."""
        super().lazy_initialization(key_states, value_states)
        self._room = key_states[..., :0, :], value_states[..., :0, :]

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values ([batch, heads, new tokens, head size]), and return all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.get_seq_length(), key_states.shape[-2]
        keys, values = self._room
        if start + new > keys.shape[-2]:
            self._move(start, max(start + new + start // 4, self.reserved))
            keys, values = self._room
        keys.narrow(-2, start, new).copy_(key_states)
        values.narrow(-2, start, new).copy_(value_states)
        self.keys, self.values = keys.narrow(-2, 0, start + new), values.narrow(-2, 0, start + new)
        return self.keys, self.values

    def copy(self, tokens: int, reserved: int) -> "GrowingLayer":
        """Return another layer, with the first `tokens` of this one and room for `reserved`."""
        keys, values = self._room
        other = GrowingLayer()  # type: ignore[no-untyped-call]
        other.reserved = reserved
        other.update(keys.narrow(-2, 0, tokens), values.narrow(-2, 0, tokens))
        return other

    def trim(self) -> int:
        """Give back the room that is not filled; return how many bytes."""
        if not self.is_initialized or -(-self.get_seq_length() // CHUNK) * CHUNK >= self.room:
            return 0
        before = self.nbytes
        self._move(self.get_seq_length(), self.get_seq_length())
        return before - self.nbytes

    @property
    def room(self) -> int:
        """Tokens that there is room for."""
        return self._room[0].shape[-2]

    def _move(self, filled: int, tokens: int) -> None:
        """Make room for so many tokens, with those that are `filled` in it."""
        keys, values = self._room
        self._room = keys, values = _grown(keys, filled, tokens), _grown(values, filled, tokens)
        self.keys, self.values = keys.narrow(-2, 0, filled), values.narrow(-2, 0, filled)

    @property
    def nbytes(self) -> int:
        """Bytes of memory, those in reserve included."""
        return sum(part.nbytes for part in self._room) if self.is_initialized else 0


class GrowingCache(Cache):
    """The layers of one model."""

    def __init__(self, layers: list[GrowingLayer]) -> None:
        super().__init__(layers=[*layers])
        self._layers = layers

    @classmethod
    def empty(cls, layers: int) -> "GrowingCache":
        """Return a cache with all of its layers.

        Were they made as they are used, a forward pass that ends between two layers
        would leave a cache that looks whole and lacks the later ones.
        """
        return cls([GrowingLayer() for _ in range(layers)])  # type: ignore[no-untyped-call]

    @property
    def length(self) -> int:
        """Tokens that every layer holds."""
        return min(layer.get_seq_length() for layer in self._layers)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return sum(layer.nbytes for layer in self._layers)

    def cut(self, length: int) -> None:
        """Hold `length` tokens at most in each layer, however many each holds."""
        for layer in self._layers:
            layer.crop(min(0, length - layer.get_seq_length()))

    def copy(self, length: int, reserved: int = 0) -> "GrowingCache":
        """Return another cache that holds the first `length` tokens, with room for `reserved`."""
        return GrowingCache([layer.copy(length, reserved) for layer in self._layers])

    def reserve(self, tokens: int) -> None:
        """Have room for so many tokens in each layer, from when it next grows."""
        for layer in self._layers:
            layer.reserved = tokens

    def trim(self) -> int:
        """Give back the room that is not filled, a layer at a time; return how many bytes."""
        return sum(layer.trim() for layer in self._layers)


def growing_layers(model: PreTrainedModel) -> int:
    """Return how many layers a `GrowingCache` for `model` has; 0 if it cannot have one.

    It can if every layer attends to tokens before it, and the keys of a token stay the
    same however long the text gets. With rotary embeddings that follow the length
    (dynamic NTK, LongRoPE) they do not, and keys of a shorter text are wrong. Nor can the
    state of a recurrent layer (Mamba, linear attention, convolutions) be cut.

    Where a layer sees a window of the last tokens only, the mask leaves out the others,
    which transformers' own cache drops: a cache without them could not be cut either.
    """
    if model.config.is_encoder_decoder or (
        "past_key_values" not in inspect.signature(model.forward).parameters
    ):
        return 0
    config = model.config.get_text_config(decoder=True)
    rope = str(getattr(config, "rope_parameters", None))
    if "dynamic" in rope or "longrope" in rope:
        return 0
    layers = DynamicCache(config=config).layers
    kinds = {type(layer) for layer in layers}
    return len(layers) if kinds <= {DynamicLayer, DynamicSlidingWindowLayer} else 0


def token_bytes(config: PreTrainedConfig, dtype: torch.dtype) -> int:
    """Return the bytes that a token's keys and values take, in all layers of such a model.

    Layers with a state of one size, however long the text, have none. Latent attention
    (DeepSeek-V2, 2024) keeps what its keys and values are made of, for all heads together.
    """
    config = config.get_text_config(decoder=True)
    layers = sum(isinstance(layer, DynamicLayer) for layer in DynamicCache(config=config).layers)
    if not layers:
        return 0
    query_heads: int = config.num_attention_heads
    heads: int = getattr(config, "num_key_value_heads", None) or query_heads
    if getattr(config, "multi_query", False) and not getattr(
        config, "new_decoder_architecture", False
    ):  # Falcon's and StarCoder's
        heads = 1
    size: int = getattr(config, "head_dim", None) or config.hidden_size // query_heads
    numbers = 2 * heads * size
    if latent := getattr(config, "kv_lora_rank", None):
        numbers = latent + config.qk_rope_head_dim
    return layers * numbers * dtype.itemsize


def _grown(room: Tensor, filled: int, tokens: int) -> Tensor:
    """Return room for `tokens`, in whole chunks, with the `filled` ones of `room` in it.

    Both are [batch, heads, tokens, head size].
    """
    batch, heads, _, size = room.shape
    grown = room.new_empty(batch, heads, -(-tokens // CHUNK) * CHUNK, size)
    grown.narrow(-2, 0, filled).copy_(room.narrow(-2, 0, filled))
    return grown
