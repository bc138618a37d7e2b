"""4-bit layers on a CPU, without the detour that bitsandbytes takes to its kernel.

For one token the way through its Python (two dispatchers, a look into a tensor
to tell NF4 from FP4, scales that are converted anew) takes longer than the
multiplication. All of that is known beforehand, so here the kernel is called at once.

None of this is documented: bitsandbytes' library (0.50), the kernel's name and
arguments, and what a packed layer holds. tests/engines/transformers/cpu/test_undocumented.py
pins them, and a layer for which the kernel gives anything else is left as it is.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from chat.engines.transformers.undocumented import is_4_bit

Forward = Callable[[Tensor], Tensor]
#: bitsandbytes' kernel for bfloat16 and NF4, of CPUs with AVX512-BF16.
KERNEL = "gemv_4bit_inference_cpu_nf4_bf16"


def call_kernels_directly(model: PreTrainedModel) -> int:
    """Shorten the way in `model`'s 4-bit layers; return in how many it was possible.

    They must have been used once, which is when bitsandbytes packs them. A layer
    that is of another kind or would compute anything else is left as it is.
    """
    if model.device.type != "cpu" or not is_4_bit(model):
        return 0
    from bitsandbytes.functional import lib
    from bitsandbytes.nn import Linear4bit

    kernel = getattr(lib, KERNEL, None)
    layers = [layer for layer in model.modules() if type(layer) is Linear4bit]
    return sum(_shorten(layer, kernel) for layer in layers) if kernel else 0


@torch.inference_mode()
def _shorten(layer: Any, kernel: Callable[..., None]) -> bool:
    state = layer.weight.quant_state
    if not getattr(state, "packing_format_for_cpu", False) or (
        (state.quant_type, state.nested, layer.bias, layer.compute_dtype)
        != ("nf4", False, None, torch.bfloat16)
    ):
        return False
    short = _forward(layer, kernel)
    probe = torch.randn(1, 1, state.shape[1]).bfloat16()
    if not torch.equal(short(probe), layer(probe)):
        return False
    layer.forward = short
    return True


def _forward(layer: Any, kernel: Callable[..., None]) -> Forward:
    """Return the layer's `forward`, for `x` of [..., columns], which gives [..., rows].

    The packed weight holds [rows, columns] in 4 bits; the scales, one for each block of a
    row, are [columns / block, rows].
    """
    usual: Forward = layer.forward
    weight, state = layer.weight.data, layer.weight.quant_state
    rows, columns = state.shape
    scales = state.absmax.bfloat16().contiguous()
    # Both stay where they are: the closure keeps them.
    at_weight, at_scales = (ctypes.c_void_p(part.data_ptr()) for part in (weight, scales))
    one, n, k, block = (ctypes.c_int64(size) for size in (1, rows, columns, state.blocksize))

    def forward(x: Tensor, keep: tuple[Tensor, Tensor] = (weight, scales)) -> Tensor:
        if x.numel() != columns or x.dtype != torch.bfloat16:
            return usual(x)
        x = x.contiguous()
        y = x.new_empty(*x.shape[:-1], rows)
        at_x, at_y = ctypes.c_void_p(x.data_ptr()), ctypes.c_void_p(y.data_ptr())
        kernel(one, n, k, at_x, at_weight, at_scales, at_y, block, k, n)
        return y

    return forward
