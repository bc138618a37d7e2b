"""chat.models.checkpoint: weights that are not all there, and what they take."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText, PreTrainedModel

from chat.errors import ModelError
from chat.models import checkpoint, quantize, tensors
from tests.support import tiny_models
from tests.support.tiny import chatml_tokenizer

Weights = dict[str, torch.Tensor]


class Folders:
    """Folders with models of each family, made once and copied."""

    def __init__(self, made: Path) -> None:
        self._made = made

    def __call__(self, family: str, target: Path) -> Path:
        source = self._made / family
        if not source.exists():
            tokenizer = chatml_tokenizer()
            tiny_models.family(family, len(tokenizer)).save_pretrained(source)
            tokenizer.save_pretrained(source)
        return Path(shutil.copytree(source, target))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(tmp_path_factory.mktemp("models"))


@pytest.fixture
def llama(folders: Folders, tmp_path: Path) -> Path:
    return folders("llama-3", tmp_path / "llama")


def load(folder: Path) -> PreTrainedModel:
    cache = folder.parent / "cache"
    cache.mkdir(exist_ok=True)
    try:
        return quantize.tokenizer_and_model(folder, cache)[1]
    finally:
        assert list(cache.iterdir()) == []


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder)
    said = str(caught.value)
    assert said.startswith("The model could not be loaded: ")
    assert said.endswith(".")
    assert "\n" not in said + said.removesuffix(".").replace(". ", "\n"), "it is one sentence"
    return said


def change(folder: Path, how: Callable[[Weights], None], name: str = tensors.WHOLE) -> None:
    weights = load_file(folder / name)
    how(weights)
    save_file(weights, folder / name, {"format": "pt"})


def drop(folder: Path, pattern: str) -> int:
    """Leave out the weights that have `pattern` in their names; return how many there were."""
    weights = load_file(folder / tensors.WHOLE)
    kept = {name: value for name, value in weights.items() if not re.search(pattern, name)}
    save_file(kept, folder / tensors.WHOLE, {"format": "pt"})
    return len(weights) - len(kept)


def in_shards(folder: Path, count: int = 3) -> list[Path]:
    """Put the weights of `folder` into so many files, and an index."""
    weights = load_file(folder / tensors.WHOLE)
    (folder / tensors.WHOLE).unlink()
    names = [f"model-{number + 1:05}-of-{count:05}.safetensors" for number in range(count)]
    where = {name: names[place % count] for place, name in enumerate(weights)}
    for file in names:
        part = {name: value for name, value in weights.items() if where[name] == file}
        save_file(part, folder / file, {"format": "pt"})
    (folder / tensors.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": where}))
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("llama-2", "model.embed_tokens.weight"),
        ("llama-2", "model.norm.weight"),
        ("llama-2", "lm_head.weight"),
        ("llama-3", "model.layers.1.self_attn.k_proj.weight"),
        ("qwen2", "model.layers.0.self_attn.q_proj.bias"),
        ("qwen3", "model.layers.1.self_attn.q_norm.weight"),
        ("mistral", "model.layers.0.mlp.down_proj.weight"),
        ("gemma-3", "model.layers.1.pre_feedforward_layernorm.weight"),
        ("phi-3", "model.layers.0.self_attn.qkv_proj.weight"),
        ("gpt2", "transformer.h.1.mlp.c_fc.bias"),
        ("gpt-oss", "model.layers.1.self_attn.sinks"),
        ("gpt-oss", "model.layers.0.mlp.experts.down_proj"),
        ("lfm2", "model.layers.0.conv.conv.weight"),
    ],
)
def test_a_weight_that_is_missing_is_named(
    folders: Folders, tmp_path: Path, family: str, name: str
) -> None:
    folder = folders(family, tmp_path / "model")
    assert drop(folder, f"^{re.escape(name)}$") == 1
    assert refusal(folder).endswith(f": it is incomplete, without {name}.")


def test_a_layer_that_is_missing_is_counted(llama: Path) -> None:
    assert drop(llama, ".layers.1.") == 9
    assert "without model.layers.1.input_layernorm.weight and 8 more." in refusal(llama)


@pytest.mark.parametrize(
    ("left_out", "sentence"),
    [
        ("experts.1.", "experts.down_proj is 3 x 64 x 64 in its files, and 4 x 64 x 64 by"),
        ("experts.1.gate_proj", "some of its weights are missing or do not fit each other."),
    ],
)
def test_an_expert_that_is_missing_is_told_of(
    folders: Folders, tmp_path: Path, left_out: str, sentence: str
) -> None:
    folder = folders("qwen3-next", tmp_path / "model")
    assert drop(folder, f"layers.0.mlp.{left_out}")
    assert sentence in refusal(folder)


def test_a_model_in_shards_is_read_whole(llama: Path) -> None:
    expected = load(llama).state_dict()
    shards = in_shards(llama)
    assert len(shards) == 3
    found = load(llama).state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_shard_that_is_missing_is_named(llama: Path) -> None:
    in_shards(llama)[1].unlink()
    assert "model-00002-of-00003.safetensors is missing, one of 3 files" in refusal(llama)


def test_shards_without_an_index_are_told_of(llama: Path) -> None:
    in_shards(llama)
    (llama / tensors.INDEX).unlink()
    assert f"neither in {tensors.WHOLE} nor in files that {tensors.INDEX}" in refusal(llama)


def test_one_shard_alone_under_the_name_of_a_whole_model_is_incomplete(llama: Path) -> None:
    in_shards(llama)[0].rename(llama / tensors.WHOLE)
    assert "it is incomplete, without" in refusal(llama)


@pytest.mark.parametrize("damage", ["[]", "{}", "junk", '{"weight_map": {"a": 5, "b": "c"}}'])
def test_a_damaged_index_is_named(llama: Path, damage: str) -> None:
    in_shards(llama)
    (llama / tensors.INDEX).write_text(damage)
    assert refusal(llama).endswith(f": {tensors.INDEX} is damaged.")


def test_what_git_lfs_has_not_fetched_is_told_of(llama: Path) -> None:
    (llama / tensors.WHOLE).write_text("version https://git-lfs.github.com/spec/v1\nsize 123\n")
    assert refusal(llama).endswith(
        f": {tensors.WHOLE} only points to the weights; fetch them with git lfs pull."
    )


@pytest.mark.parametrize("left", [0, 5, 200, -1])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_file_that_was_cut_off_is_named(llama: Path, left: int, sharded: bool) -> None:
    file = in_shards(llama)[2] if sharded else llama / tensors.WHOLE
    file.write_bytes(file.read_bytes()[:left])
    assert refusal(llama).endswith(f": {file.name} is damaged, or was cut off.")


@pytest.mark.parametrize(
    ("family", "name", "found", "expected"),
    [
        ("llama-3", "model.layers.0.mlp.up_proj.weight", "100 x 64", "128 x 64"),
        ("gpt2", "transformer.h.0.mlp.c_fc.weight", "100 x 256", "64 x 256"),
        ("gpt-oss", "model.layers.1.self_attn.sinks", "100", "4"),
    ],
)
def test_a_weight_of_another_shape_is_told_of(
    folders: Folders, tmp_path: Path, family: str, name: str, found: str, expected: str
) -> None:
    folder = folders(family, tmp_path / "model")

    def reshape(weights: Weights) -> None:
        weights[name] = torch.zeros(100, *weights[name].shape[1:])

    change(folder, reshape)
    expected = f"{name} is {found} in its files, and {expected} by its configuration."
    assert refusal(folder).endswith(expected)


def test_more_layers_than_the_configuration_names_are_told_of(llama: Path) -> None:
    def add(weights: Weights) -> None:
        for name in [name for name in weights if ".layers.1." in name]:
            weights[name.replace(".1.", ".2.")] = weights[name].clone()

    change(llama, add)
    assert "its files have more layers than its configuration" in refusal(llama)


def test_weights_that_are_quantized_in_secret_are_not_taken_for_numbers(llama: Path) -> None:
    def pack(weights: Weights) -> None:
        name = "model.layers.0.mlp.up_proj.weight"
        weights[name] = weights[name].to(torch.float8_e4m3fn)

    change(llama, pack)
    assert "its weights are quantized, and its config.json does not say how." in refusal(llama)


def buffers(weights: Weights) -> None:
    """Add what older versions of transformers saved."""
    for layer in range(2):
        weights[f"model.layers.{layer}.self_attn.rotary_emb.inv_freq"] = torch.ones(8)


def tower(weights: Weights) -> None:
    """Add what a model that sees has besides, in layers of its own."""
    for layer in range(4):
        weights[f"vision_tower.encoder.layers.{layer}.self_attn.q_proj.weight"] = torch.ones(8, 8)


def drafting(weights: Weights) -> None:
    """Add a layer that predicts several tokens at a time."""
    for name in [name for name in weights if ".layers.1." in name]:
        weights[name.replace(".1.", ".2.")] = weights[name].clone()
    weights["model.layers.2.eh_proj.weight"] = torch.ones(64, 128)


def mixed(weights: Weights) -> None:
    """Keep norms in float32 and all else in bfloat16."""
    for name in weights:
        if "norm" not in name:
            weights[name] = weights[name].bfloat16()


def bare(weights: Weights) -> None:
    """Name all as in a GPT-2 of its first days, with the masks that it held."""
    for name in list(weights):
        weights[name.removeprefix("transformer.")] = weights.pop(name)
    for layer in range(2):
        weights[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.uint8)
        weights[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)


@pytest.mark.parametrize(
    ("family", "how"),
    [
        ("llama-2", buffers),
        ("gemma-3", tower),
        ("qwen3", drafting),
        ("mistral", mixed),
        ("gpt2", bare),
    ],
)
def test_what_does_no_harm_is_taken(
    folders: Folders, tmp_path: Path, family: str, how: Callable[[Weights], None]
) -> None:
    folder = folders(family, tmp_path / "model")
    change(folder, how)
    ids = torch.tensor([[5, 6, 7]])
    assert load(folder)(ids.to(load(folder).device)).logits.isfinite().all()


def test_a_model_that_also_sees_is_taken_for_its_texts(tmp_path: Path) -> None:
    tokenizer = chatml_tokenizer()
    text = {
        **tiny_models.SHAPE,
        "vocab_size": len(tokenizer),
        "head_dim": 8,
        "attention_chunk_size": 8,
        "num_local_experts": 2,
        "intermediate_size_mlp": 64,
        "pad_token_id": 0,
    }
    seeing = {
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
        "vision_output_dim": 32,
        "projector_input_dim": 32,
        "projector_output_dim": 32,
    }
    config = AutoConfig.for_model("llama4", text_config=text, vision_config=seeing)
    AutoModelForImageTextToText.from_config(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    model = load(tmp_path / "model")
    assert type(model).__name__ == "Llama4ForCausalLM"
    assert drop(tmp_path / "model", "language_model.*layers.1.self_attn.v_proj") == 1
    assert "without model.layers.1.self_attn.v_proj.weight." in refusal(tmp_path / "model")


def test_a_head_that_is_tied_to_the_embeddings_is_not_missed(llama: Path) -> None:
    drop(llama, "lm_head")
    settings = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps({**settings, "tie_word_embeddings": True}))
    model = load(llama)
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)
    drop(llama, "embed_tokens")
    assert "without lm_head.weight and 1 more." in refusal(llama)


def test_files_that_transformers_does_not_read_may_be_anything(llama: Path) -> None:
    (llama / "consolidated.safetensors").write_bytes(b"another format")
    load(llama)


@pytest.mark.parametrize("family", ["llama-3", "gpt2", "gpt-oss", "qwen3-next"])
def test_the_memory_that_a_model_takes_is_known_before(
    folders: Folders, tmp_path: Path, family: str
) -> None:
    folder = folders(family, tmp_path / "model")
    config = AutoConfig.from_pretrained(folder)
    empty = checkpoint.empty(config, quantize.compute_dtype())
    assert {part.device.type for part in empty.parameters()} == {"meta"}
    model = load(folder)
    scales = sum(
        layer.weight.quant_state.absmax.nbytes
        for layer in model.modules()
        if isinstance(layer, Linear4bit)
    )
    taken = sum(part.nbytes for part in model.parameters()) + scales
    assert checkpoint.nf4_bytes(empty) == pytest.approx(taken, rel=0.01)
