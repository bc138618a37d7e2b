"""Random models of two layers, in float32, whose every token depends on what was before."""

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
)

SHAPE = {
    "vocab_size": 128,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "eos_token_id": None,
    "bos_token_id": None,
    "initializer_range": 0.3,
}


def llama(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**{**SHAPE, **changes})).eval()


def gpt2(vocab_size: int = 128) -> PreTrainedModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocab_size,
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=512,
        initializer_range=0.3,
        bos_token_id=None,
        eos_token_id=None,
    )
    return GPT2LMHeadModel(config).eval()


def sliding() -> PreTrainedModel:
    """Return a Mistral, whose layers see the last eight tokens."""
    torch.manual_seed(0)
    return MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)).eval()


def growing_rope() -> PreTrainedModel:
    """Return a Llama whose rotary embeddings follow the length of the text, from 16 tokens on."""
    rope = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10000.0}
    return llama(max_position_embeddings=16, rope_parameters=rope)


#: Tokens that a layer with a window sees.
WINDOW = 8
MIXED = ["sliding_attention", "full_attention"]
HEAD = {"head_dim": 16}
#: What models of a family have, each with its type as transformers names it.
FAMILIES: dict[str, dict[str, object]] = {
    "llama-2": {"model_type": "llama", "num_key_value_heads": 4},
    "llama-3": {
        "model_type": "llama",
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "qwen2": {"model_type": "qwen2"},
    "qwen2-window": {
        "model_type": "qwen2",
        "use_sliding_window": True,
        "sliding_window": WINDOW,
        "max_window_layers": 1,
    },
    "qwen3": {"model_type": "qwen3", **HEAD},
    "mistral": {"model_type": "mistral", "sliding_window": WINDOW},
    "gemma-3": {
        "model_type": "gemma3_text",
        "sliding_window": WINDOW,
        "layer_types": MIXED,
        "tie_word_embeddings": False,  # so small a model that is tied says one word
        **HEAD,
    },
    "phi-3": {"model_type": "phi3", "sliding_window": WINDOW, "pad_token_id": 0},
    "phi-3-long": {
        "model_type": "phi3",
        "pad_token_id": 0,
        "original_max_position_embeddings": 40,
        "rope_parameters": {
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "short_factor": [1.0] * 8,
            "long_factor": [4.0] * 8,
            "original_max_position_embeddings": 40,
        },
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "gpt-oss": {
        "model_type": "gpt_oss",
        "sliding_window": WINDOW,
        "layer_types": MIXED,
        "num_local_experts": 4,
        "num_experts_per_tok": 2,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 150000.0,
            "factor": 8.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 64,
        },
        **HEAD,
    },
    # Hybrids, with layers whose state cannot be cut.
    "lfm2": {"model_type": "lfm2", "layer_types": ["conv", "full_attention"], "pad_token_id": 0},
    "qwen3-next": {
        "model_type": "qwen3_next",
        "layer_types": ["linear_attention", "full_attention"],
        "linear_num_value_heads": 4,
        "linear_num_key_heads": 2,
        "linear_key_head_dim": 16,
        "linear_value_head_dim": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
        "shared_expert_intermediate_size": 64,
        **HEAD,
    },
    # One without keys and values.
    "mamba": {"model_type": "mamba", "state_size": 4, "tie_word_embeddings": False},
}

#: More kinds that a pool of keys and values is for, each once.
POOLED: dict[str, dict[str, object]] = {
    kind: {"model_type": kind}
    for kind in [
        *("apertus", "arcee", "cohere", "ernie4_5", "gpt_neox", "granite", "nemotron", "olmo"),
        *("olmo2", "opt", "phi", "seed_oss", "stablelm"),
    ]
}
POOLED |= {kind: {"model_type": kind, "pad_token_id": 0} for kind in ("glm", "glm4", "smollm3")}
POOLED |= {
    kind: {"model_type": kind, "sliding_window": WINDOW}
    for kind in ("cohere2", "exaone4", "olmo3", "starcoder2")
}
POOLED["gemma"] = {"model_type": "gemma", "tie_word_embeddings": False, **HEAD}
POOLED["mixtral"] = {"model_type": "mixtral", "num_local_experts": 4}
POOLED["qwen3_moe"] = {
    "model_type": "qwen3_moe",
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
}


def family(name: str, vocab_size: int, **changes: object) -> PreTrainedModel:
    """Return a model of one of `FAMILIES`, or of `POOLED`."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 128, "vocab_size": vocab_size}
    config = AutoConfig.for_model(**{**SHAPE, **sizes, **{**POOLED, **FAMILIES}[name], **changes})
    return AutoModelForCausalLM.from_config(config).eval()
