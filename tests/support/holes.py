"""Models of public shapes whose weights are holes: their sizes, without a byte of the numbers."""

import json
import os
from math import prod
from pathlib import Path

import torch
from transformers import LlamaConfig, PreTrainedConfig, Qwen3Config

from chat.models import checkpoint
from tests.support.tiny import chatml_tokenizer

#: As their config.json has them, of what has to do with sizes.
SHAPES: dict[str, PreTrainedConfig] = {
    "Llama-2-7B": LlamaConfig(
        hidden_size=4096,
        intermediate_size=11008,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=32,
        vocab_size=32000,
        max_position_embeddings=4096,
    ),
    "Llama-3.1-8B": LlamaConfig(
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        vocab_size=128256,
        max_position_embeddings=131072,
    ),
    "Qwen3-8B": Qwen3Config(
        hidden_size=4096,
        intermediate_size=12288,
        num_hidden_layers=36,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=128,
        vocab_size=151936,
        max_position_embeddings=40960,
    ),
}


def save(config: PreTrainedConfig, folder: Path) -> None:
    """Save a model of `config` in 16 bits, all holes, and a small tokenizer in `folder`."""
    folder.mkdir(parents=True)
    heads: dict[str, object] = {}
    end = 0
    for name, weight in checkpoint.empty(config, torch.float16).state_dict().items():
        start, end = end, end + 2 * prod(weight.shape)
        heads[name] = {"dtype": "F16", "shape": [*weight.shape], "data_offsets": [start, end]}
    head = json.dumps(heads).encode()
    file = folder / "model.safetensors"
    file.write_bytes(len(head).to_bytes(8, "little") + head)
    os.truncate(file, 8 + len(head) + end)
    config.save_pretrained(folder)
    chatml_tokenizer().save_pretrained(folder)
