"""The linear layers of an OpenVINO model, by the names that they have in PEFT.

OpenVINO looks for an adapter's layers by the names of the operations in openvino_model.xml,
and leaves out without a word what it does not find. Where a model was exported from torch
those are `__module.model.layers.0.self_attn.q_proj/…`; where OpenVINO read a GGUF file they
are `MatMul_27`, numbered as the layers were built, so they are given their names here, once the
model is made.
"""

import json
import re
import xml.etree.ElementTree as xml
from functools import cache
from pathlib import Path

from chat.models.adapters import Adapter, Layers
from chat.models.unusable import unusable

MODEL = "openvino_model.xml"
EXPORTED = re.compile(r"(?:__module\.)?([\w.]+)/")
NUMBERED = re.compile(r"MatMul_\d+")
#: In each layer of a Llama or Qwen, in the order in which OpenVINO builds them.
BUILT = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)


def layers(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the layers by their names, each with its outputs and inputs.

    Raises:
        ModelError: the file that names them is damaged.
    """
    try:
        linear = _linear(xml.parse(folder / MODEL))
    except Exception:  # whatever the bytes led it to
        raise unusable(f"{MODEL} is damaged") from None
    exported = [(EXPORTED.match(operation.get("name", "")), size) for operation, size in linear]
    return {match[1]: size for match, size in exported if match}


def give_names(folder: Path) -> None:
    """Give the layers of a model that OpenVINO has built from a GGUF file their names."""
    tree = xml.parse(folder / MODEL)
    found = {operation.get("name", ""): operation for operation, _ in _linear(tree)}
    count = json.loads((folder / "config.json").read_text())["num_hidden_layers"]
    names = [f"model.layers.{layer}.{name}" for layer in range(count) for name in BUILT]
    names.append("lm_head")
    if len(found) == len(names) and all(map(NUMBERED.fullmatch, found)):
        numbered = sorted(found, key=lambda name: int(name.partition("_")[2]))
        for number, name in zip(numbered, names, strict=True):
            found[number].set("name", f"{name}/MatMul")
        tree.write(folder / MODEL)


def check(adapter: Adapter, layers: Layers) -> None:
    """Raise ModelError if an adapter is not for these layers, or OpenVINO would compute else."""
    parts = {name.rpartition(".lora_")[2] for name in adapter.shapes}
    own = any(adapter.config.get(key) for key in ("use_dora", "rank_pattern", "alpha_pattern"))
    if own or parts != {"A.weight", "B.weight"}:
        raise adapter.unfit(
            "OpenVINO takes matrices A and B of linear layers alone, all with one rank and alpha; "
            "choose --engine transformers"
        )
    adapter.check(layers)


def _linear(tree: "xml.ElementTree[xml.Element]") -> list[tuple[xml.Element, tuple[int, int]]]:
    """Return the multiplications with weights, and the outputs and inputs of each."""
    operations = {one.get("id"): one for one in tree.iterfind("layers/layer")}
    sources: dict[str | None, list[tuple[int, str | None]]] = {}
    for edge in tree.iterfind("edges/edge"):
        into = sources.setdefault(edge.get("to-layer"), [])
        into.append((int(edge.get("to-port", 0)), edge.get("from-layer")))

    @cache
    def fixed(id: str | None) -> bool:
        given = sources.get(id)
        if not given:
            return operations[id].get("type") == "Const"
        return all(fixed(source) for _, source in given)

    found = []
    for id, operation in operations.items():
        if operation.get("type") != "MatMul" or not fixed(dict(sources[id])[1]):
            continue
        size = [int(dim.text or 0) for dim in operation.findall("input/port")[1].iter("dim")]
        if len(size) == 2:
            found.append((operation, (size[0], size[1])))
    return found
