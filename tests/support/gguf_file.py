"""A GGUF file made on the spot: a random two-layer Llama with a ChatML tokenizer."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, TokenType
from gguf.quants import quantize
from numpy.typing import NDArray

from tests.support.tiny import chatml_tokenizer

HIDDEN, LAYERS, HEADS, FEED_FORWARD = 64, 2, 2, 128
TRAINED_FOR = 512


def write(
    file: Path,
    kind: str = "F16",
    architecture: str = "llama",
    factors: NDArray[np.float32] | None = None,
    biases: bool = False,
    without: str = "nothing",
    layers: int = LAYERS,
    drafting: int = 0,
    scaling: float = 0.0,
    renamed: Mapping[str, str] = MappingProxyType({}),
    **extra: str,
) -> Path:
    """Write the model into `file`, its matrices as `kind`, and return it.

    `factors`, [half of a head's size], are what its positions' frequencies are divided by;
    with `biases` its attention has some; `scaling` is a factor of its positions, if it says one.
    Tokens are `renamed`, in the chat template too.
    Tensors whose names begin with the pattern `without` are left out; `layers` is how many
    it says that it has, of which so many at the end are `drafting`.
    """
    writer = GGUFWriter(file, architecture)
    writer.add_file_type(1 if kind == "F16" else 2)
    writer.add_context_length(TRAINED_FOR)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    if drafting:
        writer.add_nextn_predict_layers(drafting)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    if scaling:
        writer.add_rope_scaling_factor(scaling)
    vocabulary = _add_tokenizer(writer, renamed)
    for name, value in extra.items():
        writer.add_string(name.replace("__", "."), value)

    random = np.random.default_rng(0)

    def norm(name: str) -> None:
        if not re.match(without, name):
            writer.add_tensor(f"{name}.weight", np.ones(HIDDEN, np.float32))

    def matrix(name: str, rows: int, columns: int, scale: float = 0.2) -> None:
        values = random.normal(0, scale, (rows, columns)).astype(np.float32)
        if re.match(without, name):
            return
        if kind == "F16":
            writer.add_tensor(f"{name}.weight", values.astype(np.float16))
        else:
            type = GGMLQuantizationType[kind]
            writer.add_tensor(f"{name}.weight", quantize(values, type), raw_dtype=type)

    matrix("token_embd", vocabulary, HIDDEN, scale=1)
    matrix("output", vocabulary, HIDDEN)
    norm("output_norm")
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            norm(f"blk.{layer}.{name}")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}", HIDDEN, HIDDEN)
            if biases:
                writer.add_tensor(f"blk.{layer}.{name}.bias", np.ones(HIDDEN, np.float32))
        matrix(f"blk.{layer}.ffn_gate", FEED_FORWARD, HIDDEN)
        matrix(f"blk.{layer}.ffn_up", FEED_FORWARD, HIDDEN)
        matrix(f"blk.{layer}.ffn_down", HIDDEN, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def split(file: Path, count: int) -> list[Path]:
    """Write `file` in this many parts beside it, as llama-gguf-split does, and return them."""
    reader = GGUFReader(file)
    found = []
    for number in range(count):
        part = file.with_name(f"{file.stem}-{number + 1:05}-of-{count:05}{file.suffix}")
        writer = GGUFWriter(part, "llama")
        for field in reader.fields.values() if number == 0 else ():
            if not field.name.startswith("GGUF.") and field.name != "general.architecture":
                inner = field.types[-1] if len(field.types) > 1 else None
                writer.add_key_value(field.name, field.contents(), field.types[0], inner)
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for tensor in reader.tensors[number::count]:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        found.append(part)
    return found


def _add_tokenizer(writer: GGUFWriter, renamed: Mapping[str, str]) -> int:
    tokenizer = chatml_tokenizer()
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    kinds = [
        TokenType.CONTROL if token in tokenizer.all_special_tokens else TokenType.NORMAL
        for token in tokens
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([renamed.get(token, token) for token in tokens])
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(pair) for pair in state["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_unk_token_id(tokenizer.unk_token_id)
    writer.add_add_bos_token(bool(renamed))
    template = str(tokenizer.chat_template)
    for token, other in renamed.items():
        template = template.replace(token, other)
    writer.add_chat_template(template)
    return len(tokens)


def without_end(converted: Path, folder: Path) -> Path:
    """Copy what the model was converted to into `folder`, with no token that ends a reply."""
    shutil.copytree(converted, folder)
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "eos_token_id": None}))
    return folder
