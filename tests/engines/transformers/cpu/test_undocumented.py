"""What of bitsandbytes is used and not documented, as it is in the version that is pinned.

After an upgrade this fails first: chat/engines/transformers/cpu/linear.py uses all of it, to call
the kernel without a detour. What it then finds to be otherwise it leaves alone, so that nothing
breaks, but 4-bit decoding on a CPU is slower.
"""

import inspect
import re

import bitsandbytes
import pytest
import torch
from bitsandbytes import functional
from bitsandbytes.backends.cpu import ops
from bitsandbytes.functional import QuantState, has_avx512bf16
from bitsandbytes.nn import Linear4bit

from chat.engines.transformers.cpu.linear import KERNEL

USE = (
    f"bitsandbytes {bitsandbytes.__version__}: see _shorten and _forward in "
    "chat/engines/transformers/cpu/linear.py"
)


def source(thing: object) -> str:
    """Return the source of a function or module, on one line."""
    return re.sub(r"\s+", " ", inspect.getsource(thing))  # type: ignore[arg-type]


def test_the_kernel_takes_the_arguments_that_we_give_it() -> None:
    sizes = [f"ct.c_int64({name})" for name in ("M", "N", "K")]
    pointers = [f"get_ptr({name})" for name in ("A", "B", "absmax", "out")]
    steps = [f"ct.c_int64({name})" for name in ("blocksize", "x_strideM", "out_strideM")]
    assert f"lib.{KERNEL}( {', '.join([*sizes, *pointers, *steps])}, )" in source(ops), USE
    assert ops.lib is functional.lib, USE


def test_packing_turns_the_scales_around_and_leaves_a_mark() -> None:
    packing = source(functional._convert_weight_packed_for_cpu)
    for step in (
        "quant_state.packing_format_for_cpu = True",
        "quant_state.nested = False",
        "quant_state.shape[1] // quant_state.blocksize) .T.to(torch.bfloat16)",
    ):
        assert step in packing, USE
    assert "_convert_weight_packed_for_cpu(self.weight.data, quant_state)" in source(
        Linear4bit.forward
    ), USE


def test_a_layer_holds_what_we_ask_it_for() -> None:
    layer = Linear4bit(64, 32, bias=False, quant_type="nf4", compute_dtype=torch.bfloat16).to("cpu")
    state = layer.weight.quant_state
    assert isinstance(state, QuantState), USE
    assert (state.quant_type, state.blocksize, tuple(state.shape)) == ("nf4", 64, (32, 64)), USE
    assert state.absmax is not None, USE
    assert state.nested is True, USE
    assert (layer.bias, layer.compute_dtype) == (None, torch.bfloat16), USE


@pytest.mark.skipif(not has_avx512bf16(), reason="needs a CPU with AVX512-BF16")
def test_the_kernel_is_there() -> None:
    assert callable(getattr(functional.lib, KERNEL)), USE


@pytest.mark.skipif(not has_avx512bf16(), reason="needs a CPU with AVX512-BF16")
@pytest.mark.parametrize(("rows", "columns"), [(40, 64), (32, 80)])
def test_a_matrix_of_another_shape_is_packed_unless_its_layer_says_no(
    rows: int, columns: int
) -> None:
    use = "chat/models/quantize.py has such layers compute without the kernel"
    layer = Linear4bit(columns, rows, bias=False, compute_dtype=torch.bfloat16).to("cpu").eval()
    x = torch.ones(1, columns, dtype=torch.bfloat16)
    with torch.inference_mode():
        layer.support_avx512bf16_for_cpu = False
        assert layer(x).shape == (1, rows), use
        layer.support_avx512bf16_for_cpu = True
        with pytest.raises((AssertionError, RuntimeError)):
            layer(x)
