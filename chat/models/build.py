"""The process that makes the OpenVINO folder of a GGUF file, or of a safetensors folder.

OpenVINO builds its models from GGUF files, so that of a folder one is written first.
The tokenizer is converted by itself, from the model's own.
"""

import json
import os
import shutil
import sys
from pathlib import Path

import openvino
import openvino_genai
from gguf import GGUFReader
from openvino_tokenizers import convert_tokenizer
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from chat import child
from chat.models import (
    as_gguf,
    config,
    convert,
    gguf_tokenizer,
    ir,
    ir_fuse,
    ir_layers,
    plain,
    rope,
)
from chat.models.gguf_positions import FACTORS

#: What making one may take: bytes besides twice what it should, and seconds of CPU time.
MEMORY, SECONDS, SECONDS_A_GB = 4_000_000_000, 300, 600


def build(source: Path, folder: Path, kind: as_gguf.Kind = "Q4_1", *, fused: bool = True) -> None:
    """Make the OpenVINO `folder` of `source`; the matrices of a folder become `kind`.

    Its layers are `fused`, or have names, for adapters.
    """
    folder.mkdir()
    file = folder / "model.gguf"  # OpenVINO writes beside the file that it reads
    positions = _from_folder(source, file, kind) if source.is_dir() else _from_gguf(source, file)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    for name, model in zip(
        ("tokenizer", "detokenizer"),
        convert_tokenizer(tokenizer, with_detokenizer=True),
        strict=True,
    ):
        openvino.save_model(model, folder / f"openvino_{name}.xml")
    scheduling = openvino_genai.SchedulerConfig()
    scheduling.num_kv_blocks = 1
    openvino_genai.ContinuousBatchingPipeline(
        file, openvino_genai.Tokenizer(folder), scheduling, "CPU", **{ir.SAVE: True}
    )
    file.unlink()
    _change(folder, positions, fused=fused)
    if not fused:
        ir_layers.give_names(folder)


def _change(folder: Path, positions: rope.Change, *, fused: bool) -> None:
    file, changed = folder / ir_layers.MODEL, folder / "changed.xml"
    model = openvino.Core().read_model(file)
    if not rope.change(model, *positions) and not fused:
        return
    if fused:
        ir_fuse.fuse(model)
    # Beside it, since the one that is there is read while this is written.
    openvino.save_model(model, changed, compress_to_fp16=False)
    for ending in (".xml", ".bin"):
        changed.with_suffix(ending).replace(file.with_suffix(ending))


def _from_gguf(gguf: Path, file: Path) -> rope.Change:
    convert.link(gguf, file)
    AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(file.parent)
    gguf_tokenizer.load(gguf).save_pretrained(file.parent)
    reader = GGUFReader(gguf)
    architecture = reader.fields["general.architecture"].contents()

    def fact(name: str, otherwise: float) -> float:
        field = reader.fields.get(f"{architecture}.{name}")
        return field.contents() if field else otherwise

    size = fact(
        "attention.key_length", fact("embedding_length", 0) / fact("attention.head_count", 1)
    )
    own = rope.frequencies(fact("rope.freq_base", 10_000.0), int(size))
    factors = [tensor.data for tensor in reader.tensors if tensor.name == FACTORS]
    return rope.Change(own, own / factors[0] if factors else own)


def _from_folder(source: Path, file: Path, kind: as_gguf.Kind) -> rope.Change:
    shutil.copyfile(source / "config.json", file.parent / "config.json")
    (file.parent / "generation_config.json").write_text(json.dumps(config.generation(source)))
    tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    tokenizer.save_pretrained(file.parent)
    settings = AutoConfig.from_pretrained(source, trust_remote_code=False)
    positions = settings.rope_parameters
    as_gguf.write(source, file, positions["rope_theta"], kind)
    own = rope.frequencies(positions["rope_theta"], plain.head_size(settings.to_dict()))
    if positions["rope_type"] == "default":
        return rope.Change(own, own)
    scaled, factor = ROPE_INIT_FUNCTIONS[positions["rope_type"]](settings, "cpu")
    return rope.Change(own, scaled.numpy(), factor)


def main(source: Path, folder: Path, *, fused: bool) -> None:
    """Make a folder, within limits that grow with the size of its weights."""
    child.end_with(os.getppid())
    needed, _ = ir.conversion_needs(source)
    child.limit(int(MEMORY + 2 * needed), SECONDS + needed / 1e9 * SECONDS_A_GB, writes=True)
    build(source, folder, fused=fused)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), fused=sys.argv[3] == ir.FUSED)
