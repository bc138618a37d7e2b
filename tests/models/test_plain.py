"""chat.models.plain: which safetensors folders OpenVINO gets right."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, Qwen3Config

from chat.errors import ModelError
from chat.models import plain
from tests.support import families
from tests.support.families import OTHERS, PLAIN, SHAPE


def sized(config: Any) -> dict[str, Any]:
    config.vocab_size = 100
    config.architectures = [families.model(config).__class__.__name__]
    return dict(json.loads(config.to_json_string(use_diff=False)))


@pytest.mark.parametrize("name", PLAIN)
def test_a_family_that_it_gets_right_is_taken(name: str) -> None:
    assert plain.refused_config(sized(PLAIN[name]())) is None


@pytest.mark.parametrize("name", OTHERS)
def test_a_family_that_it_would_get_wrong_is_refused_with_the_reason(name: str) -> None:
    config, reason = OTHERS[name]
    assert plain.refused_config(sized(config())) == reason


#: As their authors published them, with the names of their time.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Llama 2": {
        "model_type": "llama",
        "pretraining_tp": 1,
        "rope_scaling": None,
        "use_cache": True,
    },
    "Llama 3.2": {
        "model_type": "llama",
        "rope_theta": 500000.0,
        "rope_scaling": {
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 8192,
            "rope_type": "llama3",
        },
        "torch_dtype": "bfloat16",
    },
    "SmolLM2": {
        "model_type": "llama",
        "is_llama_config": True,
        "rope_interleaved": False,
        "transformers.js_config": {"kv_cache_dtype": {"fp16": "float16"}},
    },
    "Mistral": {"model_type": "mistral", "sliding_window": None, "head_dim": 128},
    "Qwen2.5": {
        "model_type": "qwen2",
        "max_window_layers": 28,
        "sliding_window": 32768,
        "use_mrope": False,
        "use_sliding_window": False,
    },
    "Qwen3": {"model_type": "qwen3", "head_dim": 128, "sliding_window": None},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_configs_as_they_are_published_are_taken(name: str) -> None:
    facts = SHAPE | {"vocab_size": 100, "rms_norm_eps": 1e-5, "hidden_act": "silu"}
    config = facts | PUBLISHED[name]
    config["architectures"] = [plain.ARCHITECTURES[config["model_type"]]]
    assert plain.refused_config(config) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"logits_scaling": 8.0}, "its config.json has logits_scaling, which may change"),
        ({"no_rope_layers": [1, 0]}, "its config.json has no_rope_layers"),
        ({"rope_interleaved": True}, "its config.json has rope_interleaved"),
        ({"partial_rotary_factor": 0.5}, "it turns a part of each head alone"),
        ({"rope_scaling": {"type": "mrope", "mrope_section": [2]}}, "it scales its positions"),
        ({"rope_scaling": {"type": "linear", "factor": 2, "odd": 1}}, "it scales its positions"),
        ({"layer_types": ["full_attention", "chunked_attention"]}, "its attention has a window"),
        ({"quantization_config": {"quant_method": "awq"}}, "it is quantized already"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "it is not made to write text"),
        ({"model_type": "mistral"}, "its attention has a window"),
        ({"model_type": "qwen3", "head_dim": None}, "its config.json does not say head_dim"),
        ({"intermediate_size": 80}, "its layers are not multiples of 32 wide"),
        ({"rms_norm_eps": None}, "its config.json does not say rms_norm_eps"),
    ],
)
def test_what_is_not_known_to_be_right_is_refused(change: dict[str, Any], reason: str) -> None:
    config = sized(LlamaConfig(**SHAPE)) | change
    if "model_type" in change:
        config.pop("sliding_window", None)
        config["architectures"] = [plain.ARCHITECTURES[config["model_type"]]]
    assert (plain.refused_config(config) or "").startswith(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    families.save(Qwen3Config(**SHAPE, head_dim=16), tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("less", "1 of its weights are missing, model.layers.1.mlp.up_proj.weight the first"),
        ("more", "it has 1 weights more than its kind, model.layers.0.mlp.up_proj.bias the first"),
        ("shape", "model.norm.weight has not the shape that its config.json says"),
        ("type", "it has weights in I8"),
    ],
)
def test_weights_that_are_not_what_the_config_says_are_refused(
    folder: Path, how: str, reason: str
) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    norm = weights["model.norm.weight"]
    match how:
        case "less":
            del weights["model.layers.1.mlp.up_proj.weight"]
        case "more":
            weights["model.layers.0.mlp.up_proj.bias"] = norm.clone()
        case "shape":
            weights["model.norm.weight"] = norm[:32].clone()
        case "type":
            weights["model.norm.weight"] = norm.char()
    save_file(weights, file)
    assert plain.refusal(folder) == reason


def test_frequencies_among_the_weights_of_an_old_checkpoint_do_no_harm(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.0.self_attn.rotary_emb.inv_freq"] = weights["model.norm.weight"].clone()
    save_file(weights, folder / "model.safetensors")
    assert plain.refusal(folder) is None


@pytest.mark.parametrize("how", ["cut", "junk", "empty", "no shard"])
def test_damaged_weights_are_one_sentence(folder: Path, how: str) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    match how:
        case "cut":
            file.write_bytes(data[:-1000])
        case "junk":
            file.write_bytes(b"not weights at all")
        case "empty":
            file.write_bytes(b"")
        case "no shard":
            file.unlink()
            index = {"weight_map": {"model.norm.weight": "model-00001-of-00001.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    said = r"^The model could not be loaded: model\S*\.safetensors is (damaged|missing)[^\n]*\.$"
    with pytest.raises(ModelError, match=said):
        plain.refusal(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"model_type": "llama"}'])
def test_a_config_that_says_nothing_is_refused(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    assert "config.json" in (plain.refusal(folder) or "")
