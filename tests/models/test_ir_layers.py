"""chat.models.ir_layers: the layers of an OpenVINO model by the names that adapters have."""

import re
import shutil
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

import pytest

from chat.errors import ModelError
from chat.models import ir
from chat.models.adapters import Adapter, read
from chat.models.ir_layers import MODEL, check, give_names, layers
from tests.support import gguf_file, lora, tiny_models

NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
SIZES = {"gate_proj": (128, 64), "up_proj": (128, 64), "down_proj": (64, 128)}


@pytest.fixture
def converted(gguf: Path, tmp_path: Path) -> Path:
    """The tiny model as it is converted."""
    folder = ir.ready(gguf, gguf.parent, fused=False)
    return shutil.copytree(folder, tmp_path / "converted")


def weights_of(folder: Path) -> dict[str, str]:
    """Return the names of the weights that OpenVINO keeps where they are not quantized."""
    tree = xml.parse(folder / MODEL)
    operations = {one.get("id"): one for one in tree.iterfind("layers/layer")}
    into = {
        edge.get("to-layer"): edge.get("from-layer")
        for edge in tree.iterfind("edges/edge")
        if edge.get("to-port") in ("0", "1")  # the second one wins
    }
    found = {}
    for id, operation in operations.items():
        source = operations[into[id]] if id in into else operation
        while source.get("type") == "Convert":
            source = operations[into[source.get("id")]]
        if operation.get("type") == "MatMul" and source.get("type") == "Const":
            found[operation.get("name", "")] = source.get("name", "")
    return found


def test_layers_that_openvino_numbered_get_the_names_of_their_weights(converted: Path) -> None:
    found = layers(converted)
    assert set(found) == {
        "lm_head",
        *(
            f"model.layers.{layer}.{'mlp' if name in SIZES else 'self_attn'}.{name}"
            for layer in range(gguf_file.LAYERS)
            for name in NAMES
        ),
    }
    for name, size in found.items():
        assert size == SIZES.get(name.rpartition(".")[2], (496 if name == "lm_head" else 64, 64))
    named = weights_of(converted)
    assert len(named) == len(found)
    for operation, weight in named.items():
        assert operation == re.sub(r"\[(\d+)\]", r".\1", weight).removesuffix(".weight") + "/MatMul"


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_quantized_ones_are_numbered_in_the_same_order(
    converted: Path, tmp_path: Path, kind: str
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", kind)
    folder = ir.ready(file, tmp_path, fused=False)
    assert list(layers(folder)) == list(layers(converted))


def test_layers_that_have_names_keep_them(converted: Path) -> None:
    written = (converted / MODEL).read_bytes()
    give_names(converted)
    assert (converted / MODEL).read_bytes() == written


def test_names_that_torch_gave_are_understood(converted: Path) -> None:
    found = layers(converted)
    text = (converted / MODEL).read_text()
    exported = re.sub(r'name="([\w.]+)/MatMul"', r'name="__module.\1/ov_ext::linear/MatMul"', text)
    (converted / MODEL).write_text(exported)
    assert layers(converted) == found


@pytest.mark.parametrize(
    "settings",
    [
        {"use_dora": True},
        {"rank_pattern": {"q_proj": 2}},
        {"alpha_pattern": {"q_proj": 2}},
        {"target_modules": ["q_proj", "embed_tokens"]},
        {"target_modules": ["q_proj", "lm_head"]},
    ],
    ids=str,
)
def test_what_openvino_would_leave_out_is_refused(tmp_path: Path, settings: Any) -> None:
    lora.write(tmp_path / "tales", tiny_models.llama(), **settings)
    adapter = read(str(tmp_path / "tales"))["tales"]
    assert adapter
    with pytest.raises(ModelError, match="choose --engine transformers"):
        check(adapter, {})


def test_one_of_other_layers_is_refused(converted: Path) -> None:
    shapes = {"model.layers.0.mlp.up_proj.lora_A.weight": (2, 32)}
    shapes["model.layers.0.mlp.up_proj.lora_B.weight"] = (128, 2)
    adapter = Adapter("tales", Path(), {"r": 2, "lora_alpha": 2}, shapes)
    with pytest.raises(ModelError, match=r"it is for 32 to 128 values in .* here it has 64 to 128"):
        check(adapter, layers(converted))
