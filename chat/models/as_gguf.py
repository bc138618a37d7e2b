"""A safetensors folder as the GGUF file that OpenVINO reads: matrices in 4 bits.

OpenVINO keeps 4-bit weights in groups of 32, w = scale · (q - zero), with a whole
zero from 0 to 15, and rounds to that what a GGUF file has. So the zero is a whole
number here from the start. On normally distributed weights the error is 8.1 % of
their size, where Q4_0 (zero = 8) has 8.6 %; with heavier tails 9.3 % and 10.8 %. The
embeddings and the last layer have 8 bits, norms and biases all 32.
"""

import json
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGML_QUANT_SIZES, MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType
from gguf import get_tensor_name_map as name_map
from gguf.quants import quantize
from numpy.typing import NDArray

from chat.models import plain
from chat.models.plain import GROUP
from chat.models.tensors import Tensor, tensors

#: Of all that OpenVINO builds, this has each part, and heads that are not interleaved.
ARCHITECTURE = "qwen3"
#: How many values are worked on at a time.
CHUNK = 1 << 24
#: Scales smaller than this have few digits in 16 bits.
SMALLEST_SCALE = 2.0**-14

Kind = Literal["Q4_1", "F16"]


def size(folder: Path) -> int:
    """Return how many bytes the file will have, all but its head."""
    return sum(_bytes(tensor.shape, _type(name, tensor, "Q4_1")) for name, tensor in _read(folder))


def write(folder: Path, target: Path, theta: float, kind: Kind = "Q4_1") -> None:
    """Write the model in `folder`, which `plain` takes, into `target`, a tensor at a time.

    `theta` is the base of its rotary positions. With "F16" matrices keep 16 bits.
    """
    config = json.loads((folder / "config.json").read_text())
    heads = config["num_attention_heads"]
    writer = GGUFWriter(target, ARCHITECTURE)
    writer.add_file_type(LlamaFileType.MOSTLY_F16 if kind == "F16" else LlamaFileType.MOSTLY_Q4_1)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(plain.head_size(config))
    writer.add_value_length(plain.head_size(config))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(theta)
    names = name_map(MODEL_ARCH.QWEN3, config["num_hidden_layers"])
    found = _read(folder)
    for name, tensor in found:
        type = _type(name, tensor, kind)
        writer.add_tensor_info(
            names.get_name(name, (".weight", ".bias")),
            _shape(tensor.shape, type),
            _dtype(type),
            _bytes(tensor.shape, type),
            type,
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for name, tensor in found:
        writer.write_tensor_data(_converted(tensor, _type(name, tensor, kind)))
    writer.close()


def in_4_bits(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return matrix [rows, columns] as Q4_1, [rows, columns / 32 · 20] bytes."""
    groups = values.reshape(-1, GROUP)
    low = np.minimum(groups.min(1, keepdims=True), 0)
    high = np.maximum(groups.max(1, keepdims=True), 0)
    stored = np.maximum((high - low) / 15, SMALLEST_SCALE).astype(np.float16)
    scale = stored.astype(np.float32)
    zero = np.rint(-low / scale).clip(0, 15)
    q = np.rint(groups / scale + zero).clip(0, 15).astype(np.uint8)
    least = (-zero * scale).astype(np.float16)
    half = GROUP // 2
    packed = q[:, :half] | q[:, half:] << 4
    blocks = np.concatenate([stored.view(np.uint8), least.view(np.uint8), packed], axis=1)
    return blocks.reshape(len(values), -1)


def _read(folder: Path) -> list[tuple[str, Tensor]]:
    return [
        (name, tensor)
        for name, tensor in tensors(folder).items()
        if not name.endswith(plain.BUFFER)
    ]


def _type(name: str, tensor: Tensor, kind: Kind) -> GGMLQuantizationType:
    if len(tensor.shape) == 1:
        return GGMLQuantizationType.F32
    if kind == "Q4_1" and name in ("model.embed_tokens.weight", "lm_head.weight"):
        return GGMLQuantizationType.Q8_0
    return GGMLQuantizationType[kind]


def _dtype(type: GGMLQuantizationType) -> "np.dtype[np.generic]":
    plain = {GGMLQuantizationType.F32: np.float32, GGMLQuantizationType.F16: np.float16}
    return np.dtype(plain.get(type, np.uint8))


def _shape(shape: tuple[int, ...], type: GGMLQuantizationType) -> tuple[int, ...]:
    """Return the shape of the array that holds a tensor of this shape."""
    in_block, block_bytes = GGML_QUANT_SIZES[type]
    return (*shape[:-1], shape[-1] // in_block * block_bytes // _dtype(type).itemsize)


def _bytes(shape: tuple[int, ...], type: GGMLQuantizationType) -> int:
    return int(np.prod(_shape(shape, type))) * _dtype(type).itemsize


def _converted(tensor: Tensor, type: GGMLQuantizationType) -> NDArray[np.generic]:
    result = np.empty(_shape(tensor.shape, type), _dtype(type))
    rows = max(1, CHUNK // tensor.shape[-1])
    for start in range(0, len(result), rows):
        values = tensor.read(start, start + rows)
        if type is GGMLQuantizationType.Q4_1:
            result[start : start + rows] = in_4_bits(values)
        else:
            result[start : start + rows] = quantize(values, type)
    return result
