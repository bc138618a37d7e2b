"""Scaled rotary positions of a GGUF file, which transformers leaves out where it reads one.

Llama 3.1 and later have theirs as factors in a tensor, which are those that their authors'
formula gives; of others the file says a kind and a factor.
"""

from typing import Any

import numpy as np
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from chat.models.unusable import unusable

#: What Llama 3.1 and later divide the frequencies of their positions by.
FACTORS = "rope_freqs.weight"
#: Of Phi-3 and Phi-4, one for short texts and one for long ones.
SHORT_AND_LONG = "rope_factors_"
#: As the authors of Llama 3.1 have it, but for the factor, which is that of the lowest frequencies.
LLAMA = {
    "rope_type": "llama3",
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


def put(name: str, reader: Any, settings: PreTrainedConfig) -> None:
    """Have a configuration say how the positions of the model in a GGUF file are scaled.

    Raises:
        ModelError: it is in a way that cannot be said there.
    """
    kind = str(reader.fields["general.architecture"].contents())
    said, factor = (
        field.contents() if (field := reader.fields.get(f"{kind}.rope.scaling.{what}")) else None
        for what in ("type", "factor")
    )
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    by_length = any(one.startswith(SHORT_AND_LONG) for one in tensors)
    rope: dict[str, Any] = getattr(settings, "rope_parameters", None) or {}
    # Gemma scales those of the layers that see all of the text.
    target = rope.get("full_attention", rope)
    if said in (None, "", "none") and not (by_length or FACTORS in tensors):
        return
    if not by_length and target.get("rope_type", "default") == "default":
        if said == "linear" and isinstance(factor, float) and FACTORS not in tensors:
            target.update(rope_type="linear", factor=factor)
            return
        if said in (None, "", "none") and target is rope:
            factors = np.asarray(tensors[FACTORS].data, np.float32)
            if not factors.any():  # a head with holes for weights, which is not run
                return
            rope.update(LLAMA, factor=float(factors.max()))
            if _are(settings, factors):
                return
    raise _lost(name)


def _are(settings: PreTrainedConfig, factors: Any) -> bool:
    """Return whether the factors, [half of a head's size], are those that the formula gives."""
    half = len(factors)
    plain = settings.rope_parameters["rope_theta"] ** (-np.arange(half) / half)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](settings, "cpu")
    return scaled.shape == (half,) and np.allclose(plain / scaled.numpy(), factors, rtol=1e-3)


def _lost(name: str) -> Exception:
    return unusable(
        f"{name} scales its positions in a way that is lost where transformers reads a GGUF file; "
        "take the original in safetensors"
    )
