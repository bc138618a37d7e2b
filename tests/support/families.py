"""Random models of two layers, of the families that people run, as folders with a tokenizer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    Qwen3MoeConfig,
    SmolLM3Config,
)

from tests.support.tiny import chatml_tokenizer

SHAPE: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10_000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
#: What OpenVINO runs, by name.
PLAIN: dict[str, Callable[[], PreTrainedConfig]] = {
    "Llama 2": lambda: LlamaConfig(**SHAPE | {"num_key_value_heads": 4}),
    "Llama 3": lambda: LlamaConfig(**SHAPE, rope_parameters=DEFAULT | {"rope_theta": 500_000.0}),
    "Llama 3.1": lambda: LlamaConfig(**SHAPE, rope_parameters=LLAMA3),
    "Llama 3.2": lambda: LlamaConfig(**SHAPE, rope_parameters=LLAMA3, tie_word_embeddings=True),
    "Llama with biases": lambda: LlamaConfig(**SHAPE, attention_bias=True, mlp_bias=True),
    "Llama, positions scaled evenly": lambda: LlamaConfig(**SHAPE, rope_parameters=LINEAR),
    "Mistral without a window": lambda: MistralConfig(**SHAPE, sliding_window=None, head_dim=32),
    "Qwen2": lambda: Qwen2Config(**SHAPE),
    "Qwen2, tied": lambda: Qwen2Config(**SHAPE, tie_word_embeddings=True),
    "Qwen2 with YaRN": lambda: Qwen2Config(**SHAPE, rope_parameters=YARN),
    "Qwen3": lambda: Qwen3Config(**SHAPE, head_dim=32),
    "Qwen3, tied": lambda: Qwen3Config(**SHAPE, head_dim=32, tie_word_embeddings=True),
    "Qwen3 with biases": lambda: Qwen3Config(**SHAPE, head_dim=32, attention_bias=True),
}
DEFAULT = {"rope_type": "default"}
GROWING = {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}
SHORT_LONG = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0] * 8,
    "long_factor": [4.0] * 8,
    "original_max_position_embeddings": 32,
}
WINDOW = {"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}
#: What it would get wrong, by name, and why.
OTHERS: dict[str, tuple[Callable[[], PreTrainedConfig], str]] = {
    "Gemma 3": (lambda: Gemma3TextConfig(**SHAPE, head_dim=16), "its architecture is gemma3_text"),
    "Phi-3": (
        lambda: Phi3Config(**SHAPE),
        "its architecture is phi3",
    ),
    "GPT-2": (lambda: GPT2Config(n_embd=64, n_layer=2, n_head=4), "its architecture is gpt2"),
    "gpt-oss": (
        lambda: GptOssConfig(**SHAPE, head_dim=16, num_local_experts=2, num_experts_per_tok=1),
        "its architecture is gpt_oss",
    ),
    "SmolLM3": (lambda: SmolLM3Config(**SHAPE), "its architecture is smollm3"),
    "Qwen3 of experts": (
        lambda: Qwen3MoeConfig(
            **SHAPE, head_dim=16, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=32
        ),
        "its architecture is qwen3_moe",
    ),
    "Mistral with a window": (
        lambda: MistralConfig(**SHAPE, sliding_window=8),
        "its attention has a window",
    ),
    "Qwen2 with a window": (lambda: Qwen2Config(**SHAPE, **WINDOW), "its attention has a window"),
    "Llama, positions that grow": (
        lambda: LlamaConfig(**SHAPE, rope_parameters=GROWING),
        "it scales its positions (dynamic)",
    ),
    "Llama, short and long positions": (
        lambda: LlamaConfig(**SHAPE, rope_parameters=SHORT_LONG),
        "it scales its positions (longrope)",
    ),
    "Llama with another activation": (
        lambda: LlamaConfig(**SHAPE, hidden_act="gelu"),
        "its activation is gelu",
    ),
}


def model(config: PreTrainedConfig) -> PreTrainedModel:
    """Return a random one whose every weight counts, and has 16 bits at most, in float32."""
    torch.manual_seed(0)
    made: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    for name, weight in made.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(weight, 1, 0.3)
        elif weight.ndim == 1:
            torch.nn.init.normal_(weight)
        weight.data = weight.data.half().float()
    return made.eval()


def save(config: PreTrainedConfig, folder: Path, **options: Any) -> PreTrainedModel:
    """Save a random model of `config` in `folder`, with a tokenizer, and return it."""
    tokenizer = chatml_tokenizer()
    config.vocab_size = len(tokenizer)
    made = model(config)
    made.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    return made
