"""Which safetensors folders hold a plain transformer, which OpenVINO's GGUF reader can build.

It knows one kind of decoder: rotary positions, RMS norms, full attention with
grouped heads, a gated SiLU between. It takes biases and norms of queries and keys
if they are there, and leaves out in silence whatever else a model does. So this is a
list of what may be in a config.json: whatever is not on it is not taken.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from chat.models.tensors import TYPES, tensors

#: What computes so, by its model_type, and the class that has these weights.
ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "mistral": "MistralForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
#: Of these the model is built. Where one is not there, each class has a default of its own.
SHAPE = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "rms_norm_eps",
    "vocab_size",
)
#: What may be anything: it is for training, for the tokenizer, or looked at below.
FREE = {
    *SHAPE,
    "architectures",
    "attention_bias",
    "attention_dropout",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "head_dim",
    "hidden_act",
    "id2label",
    "initializer_range",
    "is_llama_config",
    "label2id",
    "layer_types",
    "max_window_layers",
    "mlp_bias",
    "model_type",
    "num_key_value_heads",
    "pad_token_id",
    "pretraining_tp",
    "quantization_config",
    "return_dict",
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_sliding_window",
}
#: Scaled positions that stay as they are, however long a text is (`chat.models.rope`).
ROPES = ("default", "linear", "llama3", "yarn")
ROPE_FREE = {
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "factor",
    "high_freq_factor",
    "low_freq_factor",
    "mscale",
    "mscale_all_dim",
    "original_max_position_embeddings",
    "rope_theta",
    "rope_type",
    "truncate",
    "type",
}
#: Weights share a scale in groups of so many.
GROUP = 32
#: Buffers that old checkpoints have among their weights.
BUFFER = ".rotary_emb.inv_freq"


class Weight(NamedTuple):
    """One that a model is built of."""

    shape: tuple[int, ...]
    optional: bool = False


def refusal(folder: Path) -> str | None:
    """Return why the model in `folder` cannot be built so, or None if it can.

    Raises:
        ModelError: its weights are damaged.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        return refused_config(config) or _refused_weights(folder, config)
    except (ValueError, TypeError, AttributeError, ZeroDivisionError):
        return "its config.json is damaged"


def refused_config(config: dict[str, Any]) -> str | None:
    """Return the same by its config.json alone."""
    kind = config.get("model_type")
    if kind not in ARCHITECTURES:
        return f"its architecture is {kind}"
    if config.get("architectures") not in (None, [ARCHITECTURES[kind]]):
        return "it is not made to write text"
    if config.get("quantization_config"):
        return "it is quantized already"
    needed = [*SHAPE, *(["head_dim"] if kind == "qwen3" else [])]
    needed += [] if kind == "llama" else ["num_key_value_heads"]
    if missing := [name for name in needed if config.get(name) is None]:
        return f"its config.json does not say {', '.join(missing)}"
    if config.get("hidden_act", "silu") != "silu":
        return f"its activation is {config['hidden_act']}"
    if _slides(config):
        return "its attention has a window"
    if reason := _refused_rope(config):
        return reason
    odd = [
        name
        for name, value in config.items()
        if name not in FREE and not name.startswith("_") and value not in (None, False)
    ]
    if odd:
        return f"its config.json has {', '.join(sorted(odd))}, which may change what it computes"
    sizes = {
        config["hidden_size"],
        config["intermediate_size"],
        config["num_attention_heads"] * head_size(config),
    }
    if any(size % GROUP for size in sizes) or head_size(config) % 2:
        return f"its layers are not multiples of {GROUP} wide"
    return None


def head_size(config: dict[str, Any]) -> int:
    """Return how wide a head is."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def weights(config: dict[str, Any]) -> dict[str, Weight]:
    """Return the weights of the model, by the names that transformers has for them."""
    width, between = config["hidden_size"], config["intermediate_size"]
    size, heads = head_size(config), config["num_attention_heads"]
    shared = config.get("num_key_value_heads") or heads
    kind = config["model_type"]
    biased = {"llama", "qwen3"} if config.get("attention_bias") else set()
    layer = {
        "input_layernorm": (width,),
        "post_attention_layernorm": (width,),
        "self_attn.q_proj": (heads * size, width),
        "self_attn.k_proj": (shared * size, width),
        "self_attn.v_proj": (shared * size, width),
        "self_attn.o_proj": (width, heads * size),
        "mlp.gate_proj": (between, width),
        "mlp.up_proj": (between, width),
        "mlp.down_proj": (width, between),
    }
    if kind == "qwen3":
        layer |= {"self_attn.q_norm": (size,), "self_attn.k_norm": (size,)}
    found = {"model.embed_tokens.weight": Weight((config["vocab_size"], width))}
    for number in range(config["num_hidden_layers"]):
        for name, shape in layer.items():
            full = f"model.layers.{number}.{name}"
            found[f"{full}.weight"] = Weight(shape)
            attention = name.startswith("self_attn") and len(shape) == 2
            if (
                (attention and kind in biased)
                or (attention and kind == "qwen2" and not name.endswith("o_proj"))
                or (name.startswith("mlp") and kind == "llama" and config.get("mlp_bias"))
            ):
                found[f"{full}.bias"] = Weight(shape[:1])
    found["model.norm.weight"] = Weight((width,))
    tied = bool(config.get("tie_word_embeddings"))
    # transformers takes it, tied or not, where it is there.
    found["lm_head.weight"] = Weight((config["vocab_size"], width), optional=tied)
    return found


def rope(config: dict[str, Any]) -> dict[str, Any]:
    """Return how positions are turned into angles, as older and newer configs say it."""
    return {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}


def _slides(config: dict[str, Any]) -> bool:
    if any(kind != "full_attention" for kind in config.get("layer_types") or ()):
        return True
    if config["model_type"] == "mistral":  # 4096 unless it says that there is none
        return bool(config.get("sliding_window", 4096))
    return bool(config.get("use_sliding_window"))


def _refused_rope(config: dict[str, Any]) -> str | None:
    facts = rope(config)
    kind = facts.get("rope_type") or facts.get("type") or "default"
    partial = {config.get("partial_rotary_factor"), facts.pop("partial_rotary_factor", None)}
    if partial - {None, 1}:
        return "it turns a part of each head alone"
    if kind not in ROPES or set(facts) - ROPE_FREE:
        return f"it scales its positions ({kind})"
    return None


def _refused_weights(folder: Path, config: dict[str, Any]) -> str | None:
    wanted = weights(config)
    found = {name: it for name, it in tensors(folder).items() if not name.endswith(BUFFER)}
    missing = [name for name, it in wanted.items() if name not in found and not it.optional]
    if missing:
        return f"{len(missing)} of its weights are missing, {missing[0]} the first"
    if more := sorted(found.keys() - wanted.keys()):
        return f"it has {len(more)} weights more than its kind, {more[0]} the first"
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            return f"{name} has not the shape that its config.json says"
        if tensor.kind not in TYPES:
            return f"it has weights in {tensor.kind}"
    return None
