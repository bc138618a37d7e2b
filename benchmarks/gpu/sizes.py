"""How large things are: as on a GPU, or so small that a CPU is done in seconds."""

from dataclasses import dataclass
from typing import Any

#: The shape of NousResearch/Llama-2-7b-chat-hf.
LLAMA_2_7B: dict[str, Any] = {
    "vocab_size": 32_000,
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "initializer_range": 0.02,
}
#: One to compare replies with: heads that share keys and values, and weights so large that
#: rarely two tokens are about equally likely.
SHARP: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "initializer_range": 0.25,
}
#: The same for a machine on which it is to take no time.
TINY: dict[str, Any] = {**SHARP, "hidden_size": 128, "intermediate_size": 256}


@dataclass(frozen=True)
class Size:
    """The sizes of everything that is measured."""

    #: Of the model whose speed is measured, and of the one whose replies are compared.
    shape: dict[str, Any]
    sharp: dict[str, Any]
    #: Bytes that are copied to measure the bandwidth.
    copied: int
    #: Weight matrices [out, in], how many rows they are multiplied by, and how many bytes of
    #: them are read in turn, more than a cache holds.
    layers: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]
    layer_bytes: int
    #: How many people at once, in turn; the tokens of their prompts and replies.
    people: tuple[int, ...]
    prompt: int
    tokens: int
    #: Prompts whose first token is waited for.
    firsts: tuple[int, ...]
    #: A conversation: its turns, and the tokens of each reply.
    turns: int
    turn_tokens: int
    #: Where replies are compared: the lengths of prompts, and the tokens of replies.
    compared: tuple[int, ...]
    compared_tokens: int
    #: Tokens whose kernels are counted.
    profiled: int

    @property
    def window(self) -> int:
        """Most tokens of prompt and reply."""
        return int(self.shape["max_position_embeddings"])


CUDA = Size(
    shape=LLAMA_2_7B,
    sharp=SHARP,
    copied=2 * 2**30,
    layers=((4096, 4096), (11_008, 4096), (4096, 11_008)),
    rows=(1, 2, 4, 8, 16, 32),
    layer_bytes=250_000_000,
    people=(1, 8, 16),
    prompt=960,
    tokens=128,
    firsts=(1024, 4000),
    turns=10,
    turn_tokens=64,
    compared=(1, 5, 33, 70, 128, 300),
    compared_tokens=24,
    profiled=8,
)
CPU = Size(
    shape=TINY,
    sharp=TINY,
    copied=16 * 2**20,
    layers=((128, 128),),
    rows=(1, 2),
    layer_bytes=20_000,
    people=(1, 2),
    prompt=24,
    tokens=12,
    firsts=(40, 100),
    turns=3,
    turn_tokens=4,
    compared=(1, 33),
    compared_tokens=8,
    profiled=2,
)
