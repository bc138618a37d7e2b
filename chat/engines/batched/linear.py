"""4-bit layers on a CUDA card, for the few rows of a decoding step: their weights are read once.

bitsandbytes (0.50) takes about as much longer as there are rows, and from eight on, or fewer,
unpacks them into memory first. What `kernel.py` needs of a layer instead is not documented: what
bitsandbytes packs, and how. So a layer for which it gives anything else is left as it is.
"""

from collections.abc import Callable
from typing import Any

import torch
from bitsandbytes.nn import Linear4bit
from torch import Tensor, nn

from chat.engines.batched.kernel import multiply

Forward = Callable[[Tensor], Tensor]

#: The fewest rows for which this is used (for one bitsandbytes is as quick), and up to how many
#: there is a kernel.
FEWEST, ROWS = 2, (16, 32)
#: Outputs of a layer that one program computes, blocks of weights that it takes in each step, its
#: warps, and steps whose weights are on their way. Chosen on an H100; see benchmarks/RESULTS.md.
TILE, BLOCKS, WARPS, STAGES = 32, 4, 4, 3
#: Weights of a block that has a scale, and scales of a block that has one of its own.
BLOCK, SCALES = 64, 256
#: How much sums may differ from bitsandbytes', as a share of the largest: both round.
CLOSE = {torch.bfloat16: 0.02, torch.float16: 0.005}


def quicken(model: nn.Module) -> int:
    """Have `model`'s 4-bit layers use the kernel; return in how many it was possible.

    Raises:
        Exception: Triton cannot build or start it here, for whatever reason.
    """
    layers: list[Any] = [layer for layer in model.modules() if type(layer) is Linear4bit]
    fitting = {layer: _forward(layer) for layer in layers if _fits(layer)}
    # All are tried before any is changed: what fails leaves the model as it was.
    right = [layer for layer, quick in fitting.items() if _alike(layer, quick)]
    for layer in right:
        layer.forward = fitting[layer]
    return len(right)


def _fits(layer: Any) -> bool:
    """Whether a layer is packed in the way that the kernel reads."""
    state, weight = layer.weight.quant_state, layer.weight
    return (
        state is not None
        and weight.dtype == torch.uint8
        and (state.quant_type, state.blocksize) == ("nf4", BLOCK)
        and (not state.nested or state.state2.blocksize == SCALES)
        and layer.compute_dtype in CLOSE
        and not state.shape[0] % TILE
        and not state.shape[1] % (2 * BLOCK)
    )


@torch.inference_mode()
def _alike(layer: Any, quick: Forward) -> bool:
    """Whether `quick` gives what the layer gives, for each kernel."""
    into, dtype = layer.weight.quant_state.shape[1], layer.compute_dtype
    for rows in (FEWEST, *ROWS):
        probe = torch.randn(rows, into, device=layer.weight.device, dtype=dtype)
        right = layer(probe)
        if not (quick(probe) - right).abs().max() <= CLOSE[dtype] * right.abs().max():
            return False
    return True


def _forward(layer: Any) -> Forward:
    """Return the layer's `forward`, for `x` of [..., in], which gives [..., out]."""
    usual: Forward = layer.forward
    state, weight, bias = layer.weight.quant_state, layer.weight.data, layer.bias
    (out, into), dtype = state.shape, layer.compute_dtype
    nested = state.state2 if state.nested else None
    blocks = into // BLOCK
    asm = lookup(state.code, dtype) if weight.is_cuda else None

    def forward(x: Tensor) -> Tensor:
        rows = x.numel() // into
        fitting = next((most for most in ROWS if rows <= most), 0)
        if rows < FEWEST or not fitting or x.dtype != dtype:
            return usual(x)
        x = x.contiguous()
        y = x.new_empty(*x.shape[:-1], out)
        multiply[(out // TILE,)](
            x,
            weight,
            state.code,
            state.absmax,
            nested and nested.code,
            nested and nested.absmax,
            nested and state.offset,
            bias,
            y,
            rows,
            out,
            into // 2,
            blocks,
            -(-blocks // BLOCKS),
            TILE=TILE,
            BLOCKS=BLOCKS,
            ROWS=fitting,
            HALF=BLOCK // 2,
            SCALES=SCALES,
            LOOKUP=asm,
            num_warps=WARPS,
            num_stages=STAGES,
        )
        return y

    return forward


def lookup(code: Tensor, dtype: torch.dtype) -> str:
    """Return PTX that looks up the codes of four bytes, $4: the upper in $0 and $1, the lower in $2
    and $3, two in each, in 16 bits of `dtype`.

    `code` has 16 numbers, of which eight registers hold the bytes. `prmt` takes those of four codes
    at once from two registers, by the lower three bits of each; the fourth bit says which two.
    """
    low, high = words(code, dtype)
    half = f"""
        prmt.b32 m, 0x0000FF00, 0, t;
        prmt.b32 a, {low[0]}, {low[1]}, s;
        prmt.b32 b, {low[2]}, {low[3]}, s;
        lop3.b32 l, a, b, m, 0xD8;
        prmt.b32 a, {high[0]}, {high[1]}, s;
        prmt.b32 b, {high[2]}, {high[3]}, s;
        lop3.b32 h, a, b, m, 0xD8;"""
    return f"""{{
        .reg .b32 s, t, m, a, b, l, h;
        and.b32 s, $4, 0x77777777;
        shr.b32 t, $4, 3;
        and.b32 t, t, 0x11111111;{half}
        prmt.b32 $0, l, h, 0x7351;
        prmt.b32 $2, l, h, 0x6240;
        shr.b32 s, s, 16;
        shr.b32 t, t, 16;{half}
        prmt.b32 $1, l, h, 0x7351;
        prmt.b32 $3, l, h, 0x6240;
    }}"""


def words(code: Tensor, dtype: torch.dtype) -> tuple[list[str], list[str]]:
    """Return the lower and the upper bytes of 16 codes, four in a word, as PTX has them."""
    numbers = [number & 0xFFFF for number in code.to(dtype).view(torch.int16).tolist()]
    low, high = (bytes(number >> shift & 0xFF for number in numbers) for shift in (0, 8))

    def four(part: bytes) -> list[str]:
        parts = (part[place : place + 4] for place in range(0, 16, 4))
        return [f"0x{int.from_bytes(some, 'little'):08X}" for some in parts]

    return four(low), four(high)
