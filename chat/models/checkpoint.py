"""The weights of a folder, before they are read: whether they are all there, and what they take.

transformers makes up what it does not find, from random numbers, and the model
answers noise. So it is asked first what it would miss: it loads the checkpoint
without its numbers, with names and shapes alone, on torch's device "meta".
"""

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging

from chat.errors import out_of_memory
from chat.models import tensors
from chat.models.unusable import damaged, unusable

#: Bytes of a weight in NF4, its scales included.
NF4_BYTES = 0.52
#: How safetensors calls the types that need no `quantization_config`.
PLAIN = {"F64", "F32", "F16", "BF16"}
#: What transformers and torch say when tensors cannot be joined into one, and when one that is
#: quantized would have to be made up.
MISSED = ("conversion of the weights", "normal_kernel")
LAYER = re.compile(r"\.(\d+)\.")


def files(folder: Path) -> list[Path]:
    """Return the files of weights that transformers reads in `folder`.

    Raises:
        ModelError: one is missing.
    """
    found = tensors.files(folder)
    if not found:
        raise unusable(
            f"its weights are neither in {tensors.WHOLE} nor in files that {tensors.INDEX} names"
        )
    return found


def described(folder: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a folder by name, with their shapes and without their numbers.

    Those of types in which nothing computes, but which quantization packs into, are uint8.

    Raises:
        ModelError: a file is missing or damaged.
    """
    found = {}
    for path in files(folder):
        try:
            with safe_open(path, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  it is no dict
                    part = opened.get_slice(name)
                    dtype = torch.half if part.get_dtype() in PLAIN else torch.uint8
                    found[name] = torch.empty(part.get_shape(), dtype=dtype, device="meta")
        except SafetensorError:
            raise damaged(path) from None
    return found


def tried(
    weights: dict[str, torch.Tensor], config: PreTrainedConfig, dtype: torch.dtype
) -> PreTrainedModel:
    """Return the model that such `weights` make if they are not quantized, without numbers too.

    Raises:
        ModelError: weights are missing, or of another model.
    """
    if any(
        part.dtype == torch.uint8 and name.endswith(".weight") for name, part in weights.items()
    ):
        raise unusable("its weights are quantized, and its config.json does not say how")
    nothing = empty(config, dtype)
    progress: Any = logging
    shown = progress.is_progress_bar_enabled()
    progress.disable_progress_bar()
    try:
        return loaded(
            type(nothing),
            None,
            config=nothing.config,  # of the part that writes, if it also sees
            state_dict=weights,
            dtype=dtype,
            device_map={"": "meta"},
        )
    except NotImplementedError:  # something looks at the numbers, and has to be tried with them
        return nothing
    finally:
        if shown:
            progress.enable_progress_bar()


def loaded(kind: Any, source: Path | None, **options: Any) -> PreTrainedModel:
    """Return what `kind.from_pretrained` makes of `source`, with these options.

    Raises:
        ModelError: weights are missing, or of another model.
        MemoryError: memory ran out while they were quantized or unpacked.
    """
    model: PreTrainedModel
    try:
        model, info = kind.from_pretrained(
            source, ignore_mismatched_sizes=True, output_loading_info=True, **options
        )
    except RuntimeError as error:
        if out_of_memory(RuntimeError(_conversion_errors(error))):
            raise MemoryError from None
        if any(sign in str(error) for sign in MISSED):
            raise unusable("some of its weights are missing or do not fit each other") from None
        raise
    _require_whole(model, info)
    return model


def _conversion_errors(error: BaseException) -> str:
    """Return what went wrong with single weights, which transformers keeps to itself."""
    frames = traceback.walk_tb(error.__traceback__)
    infos = (frame.f_locals.get("loading_info") for frame, _ in frames)
    return "\n".join(
        text for info in infos for text in (getattr(info, "conversion_errors", None) or {}).values()
    )


def empty(config: PreTrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    """Return the model of a configuration, in `dtype`, on torch's device "meta"."""
    kind: Any = AutoModelForCausalLM
    with torch.device("meta"):
        model: PreTrainedModel = kind.from_config(config, dtype=dtype, trust_remote_code=False)
    return model


def packed(model: PreTrainedModel) -> set[int]:
    """Return the `id` of each weight of `model` that bitsandbytes packs into 4 bits.

    That is linear layers but for the last one; embeddings stay as they are, and so do the
    experts of a mixture, which transformers holds in one tensor.
    """
    last = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    return {
        id(module.weight)
        for module in model.modules()
        if (type(module) is nn.Linear or isinstance(module, Conv1D)) and module is not last
    }


def nf4_bytes(model: PreTrainedModel) -> float:
    """Return the bytes of memory that `model` takes once bitsandbytes has its layers in NF4."""
    in_4_bit = packed(model)
    return sum(
        part.numel() * (NF4_BYTES if id(part) in in_4_bit else part.itemsize)
        for part in model.parameters()
    )


def _require_whole(model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """Raise ModelError unless `model` was made of its checkpoint alone, and of all its layers.

    `info` is what `from_pretrained` tells, which leaves out what is tied to another weight.
    """
    buffers = {name for name, _ in model.named_buffers()}
    if missing := sorted(set(info["missing_keys"]) - buffers):
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise unusable(f"it is incomplete, without {missing[0]}{more}")
    for name, found, expected in sorted(info["mismatched_keys"]):
        raise unusable(
            f"{name} is {_shape(found)} in its files, and {_shape(expected)} by its configuration"
        )
    if further := _further_layers(model, info["unexpected_keys"]):
        raise unusable(f"its files have more layers than its configuration, {further} for one")


def _further_layers(model: PreTrainedModel, unexpected: set[str]) -> str | None:
    """Return a weight of a layer like those that the model has, and which it has not.

    What else is left over does no harm: parts for pictures, or layers that draft several
    tokens at a time, which have weights that the others have not.
    """
    known = {LAYER.sub(".*.", name, count=1) for name in model.state_dict()}
    # Base models are often saved without the prefix that their names have in a whole one.
    known |= {name.removeprefix(f"{model.base_model_prefix}.") for name in known}
    layers: dict[str, set[str]] = {}
    for name in unexpected:
        if match := LAYER.search(name):
            layers.setdefault(name[: match.end()], set()).add(name)
    for names in layers.values():
        if all(LAYER.sub(".*.", name, count=1) in known for name in names):
            return min(names)
    return None


def _shape(shape: torch.Size) -> str:
    return " x ".join(map(str, shape)) or "one number"
