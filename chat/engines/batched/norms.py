"""Norms by the root mean square (Zhang and Sennrich, 2019) as one kernel instead of seven.

transformers spells them out, in 32 bits and back, and between the products of a decoding step
that is most of what there is to start. torch has them as one function. A norm of which that
gives anything else, as where one is added to its weights, is left as it is.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm

#: How a class of such norms is called, whatever the model.
NAME = "RMSNorm"
#: Names of the number that is added to the mean.
EPSILON = ("variance_epsilon", "eps")
#: How much a result may differ, as a share of itself: both round.
CLOSE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
#: How large the numbers are that they are tried with: with the lesser ones the epsilon counts.
SIZES = (3.0, 1e-3)


def fuse(model: nn.Module) -> int:
    """Have `model`'s norms be one kernel each; return how many of them are."""
    norms = [norm for norm in model.modules() if type(norm).__name__.endswith(NAME)]
    return sum(_fuse(norm) for norm in norms)


@torch.inference_mode()
def _fuse(norm: Any) -> bool:
    weight = getattr(norm, "weight", None)
    epsilon = next((getattr(norm, name) for name in EPSILON if hasattr(norm, name)), None)
    if not isinstance(weight, Tensor) or epsilon is None or weight.dtype not in CLOSE:
        return False
    usual = norm.forward

    def forward(x: Tensor) -> Tensor:
        same = x.dtype == weight.dtype
        return rms_norm(x, weight.shape, weight, epsilon) if same else usual(x)

    for size in SIZES:
        probe = size * torch.randn(2, *weight.shape, device=weight.device, dtype=weight.dtype)
        # Each by itself, since what is added to a weight shows where that is small.
        close, least = CLOSE[weight.dtype], torch.finfo(weight.dtype).tiny
        if not torch.allclose(forward(probe), norm(probe), rtol=close, atol=least):
            return False
    norm.forward = forward
    return True
