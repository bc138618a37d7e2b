"""Checkpoints that are quantized already: which of them can be loaded here, and as what.

transformers knows two dozen methods and what each needs: a package, a GPU, a
newer GPU. It is asked, before anything is downloaded or loaded.
"""

import re
from collections.abc import Mapping
from typing import Any

from chat.errors import ModelError

#: Where a config.json says how its weights are quantized: the last two are older, and MLX's.
KEYS = ("quantization_config", "compression_config", "quantization")
#: A method's name, and nothing that a file could make a sentence say.
NAME = re.compile(r"[\w./+-]{1,40}")
#: Methods that transformers computes with by kernels of the package `kernels`, on CUDA alone, and
#: the capability that those need.
KERNELS = {"fp8": (8, 9), "mxfp4": (7, 5)}


def method(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return how the weights beside a config.json are quantized, or None if they are not."""
    for part in (settings, settings.get("text_config") or {}):
        for key in KEYS:
            if isinstance(found := part.get(key), dict) and found:
                return found
    return None


def unpacks(quantization: Mapping[str, Any]) -> bool:
    """Return whether transformers would load such weights in 16 bits, for want of kernels.

    Raises:
        ModelError: it cannot load them here.
    """
    import torch
    import transformers
    from transformers.quantizers.auto import AutoHfQuantizer
    from transformers.utils.import_utils import is_kernels_available

    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        quantizer = AutoHfQuantizer.from_config(dict(quantization), pre_quantized=True)
        quantizer.validate_environment(
            device_map={"": 0 if torch.cuda.is_available() else "cpu"}, weights_only=True
        )
    except Exception:  # each quantizer has its own ways to say what it lacks
        raise refused(quantization) from None
    if getattr(quantizer.quantization_config, "dequantize", False):
        return True
    # Not all of that is seen there: it would fail at the first token, or unpack after all.
    return quantization.get("quant_method") in KERNELS and not (
        torch.cuda.is_available() and is_kernels_available()
    )


def options(quantization: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `from_pretrained` has to be told of such weights."""
    from transformers import FineGrainedFP8Config

    if quantization.get("quant_method") != "fp8" or not unpacks(quantization):
        return {}
    kept = quantization.get("modules_to_not_convert")
    unpacking: Any = FineGrainedFP8Config
    return {"quantization_config": unpacking(dequantize=True, modules_to_not_convert=kept)}


def advice(quantization: Mapping[str, Any]) -> str:
    """Return what else there is for whoever has no memory for such weights, unpacked."""
    import torch
    from transformers.utils.import_utils import is_kernels_available

    name = quantization.get("quant_method")
    original = "that is not"
    if name == "fp8":
        original = "in 16 bits, which is quantized to 4 bits here (often the same name without FP8)"
    lacks_kernels = name in KERNELS and torch.cuda.is_available() and not is_kernels_available()
    kernels = ""
    if lacks_kernels and torch.cuda.get_device_capability() >= KERNELS[str(name)]:
        kernels = " With the package kernels this GPU computes with them as they are."
    return (
        "Its weights are quantized already, in a way that has to be unpacked to 16 bits here: "
        f"choose an original {original}, or a smaller one with --model.{kernels}"
    )


def refused(quantization: Mapping[str, Any]) -> ModelError:
    """Return the error for weights that cannot be loaded here; it names the way out."""
    name = str(quantization.get("quant_method") or "")
    how = f" with {name}" if NAME.fullmatch(name) else ""
    return ModelError(
        f"This model is quantized{how} already, which cannot be loaded here: take the original "
        "that it was made from, which is quantized to 4 bits here, or run it on a server such as "
        "vLLM."
    )
