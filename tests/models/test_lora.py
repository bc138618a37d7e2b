"""chat.models.lora: a model with adapters gives the scores of the model merged with each."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from chat.errors import ModelError
from chat.models.adapters import read
from chat.models.lora import Lora
from tests.support import lora, tiny_models

IDS = torch.tensor([[(7 * place) % 101 for place in range(30)]])
#: In float32, where nothing but the order of sums differs.
CLOSE = 1e-3
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "some-layers": {"target_modules": ["q_proj", "v_proj"], "layers_to_transform": [1]},
    "another-rank": {"r": 8},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "patterns": {"rank_pattern": {"q_proj": 2}, "alpha_pattern": {"v_proj": 16}},
    "the-head": {"target_modules": ["q_proj", "lm_head"]},
    "embeddings": {"target_modules": ["q_proj", "embed_tokens"]},
}


@torch.inference_mode()
def scores(model: PreTrainedModel) -> torch.Tensor:
    return model(IDS).logits


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, PreTrainedModel]:
    """Models merged with an adapter of each kind, by its folder."""
    place = tmp_path_factory.mktemp("lora")
    return {
        place / kind: lora.write(place / kind, tiny_models.llama(), seed, **settings)
        for seed, (kind, settings) in enumerate(KINDS.items())
    }


def test_each_gives_what_the_merged_model_does_whatever_was_used_before(
    merged: dict[Path, PreTrainedModel],
) -> None:
    model = tiny_models.llama()
    plain = scores(model)
    added = Lora(model, read(",".join(map(str, [*merged, "none"]))))
    assert added.default == "plain"
    for folder in [*merged, *reversed(merged)]:
        added.use(folder.name)
        assert (scores(model) - scores(merged[folder])).abs().max() < CLOSE, folder.name
        assert (scores(model) - plain).abs().max() > 1, f"{folder.name} changes something"
        added.use("none")
        assert torch.equal(scores(model), plain)


def test_the_first_is_in_use_from_the_start(merged: dict[Path, PreTrainedModel]) -> None:
    folder = next(iter(merged))
    for text, expected in (
        (f"{folder},none", merged[folder]),
        (f"none,{folder}", tiny_models.llama()),
        ("none", tiny_models.llama()),
    ):
        model = tiny_models.llama()
        Lora(model, read(text))
        assert (scores(model) - scores(expected)).abs().max() < CLOSE


def test_other_models_have_their_own_names_for_layers(tmp_path: Path) -> None:
    layers = {"target_modules": ["c_attn", "c_proj"], "fan_in_fan_out": True}
    merged = lora.write(tmp_path / "tales", tiny_models.gpt2(), **layers)
    model = tiny_models.gpt2()
    Lora(model, read(str(tmp_path / "tales")))
    assert (scores(model) - scores(merged)).abs().max() < CLOSE


@pytest.mark.parametrize(
    "other", [{"hidden_size": 64}, {"num_hidden_layers": 3}, {"intermediate_size": 128}], ids=str
)
def test_an_adapter_of_another_model_is_refused(tmp_path: Path, other: dict[str, int]) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama(**other))
    with pytest.raises(ModelError, match="The adapter tales does not fit this model: it is for"):
        Lora(tiny_models.llama(), read(str(tmp_path / "tales")))


def test_embeddings_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    settings = KINDS["embeddings"]
    lora.write(tmp_path / "tales", tiny_models.llama(vocab_size=64), **settings)
    with pytest.raises(ModelError, match="does not fit this model"):
        Lora(tiny_models.llama(), read(str(tmp_path / "tales")))


def test_what_replaces_a_layer_that_all_share_is_refused(tmp_path: Path) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama(), **KINDS["the-head"])
    file = tmp_path / "tales" / "adapter_model.safetensors"
    weights = load_file(file)
    weights["base_model.model.lm_head.base_layer.weight"] += 1
    save_file(weights, file)
    model = tiny_models.llama()
    with pytest.raises(ModelError, match="it replaces lm_head, which all adapters here share"):
        Lora(model, read(str(tmp_path / "tales")))


@pytest.mark.parametrize("left", ["lora_A", "lora_B"])
def test_half_an_adapter_is_refused(tmp_path: Path, left: str) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama())
    file = tmp_path / "tales" / "adapter_model.safetensors"
    weights = load_file(file)
    del weights[f"base_model.model.model.layers.1.mlp.up_proj.{left}.weight"]
    save_file(weights, file)
    with pytest.raises(ModelError, match="half of what it has for"):
        Lora(tiny_models.llama(), read(str(tmp_path / "tales")))


@pytest.mark.parametrize("settings", [{"rank_pattern": "x"}, {"alpha_pattern": [1]}], ids=str)
def test_patterns_that_are_none_are_refused(tmp_path: Path, settings: dict[str, object]) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama())
    lora.change(tmp_path / "tales", **settings)
    with pytest.raises(ModelError, match="its parts are not those of this model's layers"):
        Lora(tiny_models.llama(), read(str(tmp_path / "tales")))
