"""Products of a few rows with a matrix in NF4, in Triton (Tillet et al., 2019).

The codes (Dettmers et al., QLoRA, 2023) are looked up in registers, the tensor cores multiply by
those, and each block's scale is applied to the sums.
"""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["rows", "blocks", "steps"])
def multiply(
    x,
    weight,
    code,
    scales,
    scale_code,
    scale_scales,
    offset,
    bias,
    y,
    rows,
    out,
    width,
    blocks,
    steps,
    TILE: tl.constexpr,
    BLOCKS: tl.constexpr,
    ROWS: tl.constexpr,
    HALF: tl.constexpr,
    SCALES: tl.constexpr,
    LOOKUP: tl.constexpr,
):
    """Compute `TILE` outputs of all rows: y [rows, out] of x [rows, in], with in = 2 * width.

    A byte has two codes of a row of weights, the first one in its upper half; `LOOKUP` is PTX that
    makes numbers of four bytes, or None for Triton's interpreter, which has no assembler. `BLOCKS`
    blocks of inputs are taken in each of the `steps`, other ones by each warp, and their sums are
    added at the end. Scales are read a step ahead: Triton sees to that for weights alone.

    The scales are numbers in 32 bits, or, with a `scale_code`, bytes that stand for one of its 256,
    in units of `scale_scales`, one for `SCALES` of them, and moved by `offset`.
    """
    n = (tl.program_id(0) * TILE + tl.arange(0, TILE)).to(tl.int64)
    r = tl.arange(0, ROWS)
    byte = tl.arange(0, HALF)
    block = tl.arange(0, BLOCKS)
    pairs = x.to(tl.pointer_type(tl.uint32))
    dtype: tl.constexpr = x.dtype.element_ty
    next_, next_two = _scales(scales, scale_scales, n, block, blocks, SCALES)
    sums = tl.zeros((BLOCKS, TILE, ROWS), tl.float32)
    for _ in range(0, steps):
        scale, of_scale = next_, next_two
        next_, next_two = _scales(scales, scale_scales, n, block + BLOCKS, blocks, SCALES)
        if scale_code is not None:
            scale = tl.load(scale_code + scale.to(tl.int32)) * of_scale + tl.load(offset)
        there = tl.minimum(block, blocks - 1)[:, None, None] * HALF
        packed = tl.load(weight + n[None, :, None] * width + (there + byte[None, None, :]))
        two = tl.load(
            pairs + r[None, None, :] * width + (there + byte[None, :, None]),
            mask=(r < rows)[None, None, :] & (block < blocks)[:, None, None],
            other=0,
        )
        first = (two & 0xFFFF).to(tl.uint16).to(dtype, bitcast=True)
        second = (two >> 16).to(tl.uint16).to(dtype, bitcast=True)
        if LOOKUP is not None:
            upper, lower = tl.inline_asm_elementwise(
                LOOKUP,
                "=r,=r,=r,=r,r",
                args=[packed],
                dtype=(x.dtype.element_ty, x.dtype.element_ty),
                is_pure=True,
                pack=4,
            )
        else:
            upper = tl.load(code + (packed >> 4).to(tl.int32)).to(dtype)
            lower = tl.load(code + (packed & 15).to(tl.int32)).to(dtype)
        sums += tl.dot(lower, second, tl.dot(upper, first)) * scale[:, :, None]
        block += BLOCKS
    total = tl.sum(sums, 0)
    if bias is not None:
        total += tl.load(bias + n).to(tl.float32)[:, None]
    tl.store(y + r[None, :] * out + n[:, None], total, mask=(r < rows)[None, :])


@triton.jit
def _scales(scales, scale_scales, n, block, blocks, SCALES: tl.constexpr):
    """Read the scales of blocks of rows `n`, [block, n], and what those are in units of."""
    which = n[None, :] * blocks + tl.minimum(block, blocks - 1)[:, None]
    scale = tl.load(scales + which)
    of_scale = tl.load(scale_scales + which // SCALES) if scale_scales is not None else scale
    return scale, of_scale
