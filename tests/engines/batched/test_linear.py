"""4-bit layers for a few rows: the same as bitsandbytes' own, in Triton's interpreter."""

import re
import subprocess
import sys
from typing import Any

import pytest
import torch
from bitsandbytes.functional import quantize_4bit
from bitsandbytes.nn import Linear4bit
from torch import Tensor, nn

pytest.importorskip("triton", reason="needs Triton, which comes with torch for CUDA")
from triton.runtime.errors import InterpreterError

from chat.engines.batched import linear
from chat.engines.batched.linear import quicken

#: How much a sum may differ, of the largest: both are in 16 bits.
ROUNDING = 0.002


def layer(into: int = 256, out: int = 64, **changes: Any) -> Linear4bit:
    torch.manual_seed(into + out)
    options = {"bias": False, "quant_type": "nf4", "compute_dtype": torch.float16, **changes}
    made = Linear4bit(into, out, **options)
    made.support_avx512bf16_for_cpu = False  # else it is packed in another way
    return made.half().to("cpu").eval().requires_grad_(False)


def blocks_of_128() -> Linear4bit:
    made = layer()
    weights = torch.randn(64, 256).half()
    packed = quantize_4bit(weights, blocksize=128, quant_type="nf4")
    made.weight.data, made.weight.quant_state = packed
    return made


def rows(count: int, into: int = 256) -> Tensor:
    return torch.randn(count, into, generator=torch.Generator().manual_seed(count)).half()


@torch.inference_mode()
def difference(one: Tensor, other: Tensor) -> float:
    assert (one.shape, one.dtype) == (other.shape, other.dtype)
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize(
    ("count", "nested", "bias", "into", "out"),
    [
        *((count, True, False, 256, 64) for count in (2, 16, 17, 32)),
        (17, False, False, 256, 64),
        (17, True, True, 256, 64),
        # With fewer blocks than are taken in a step, and some left over at the end.
        (17, True, False, 128, 32),
        (17, True, False, 640, 96),
    ],
)
def test_a_few_rows_are_what_bitsandbytes_makes_of_them(
    count: int, nested: bool, bias: bool, into: int, out: int
) -> None:
    own = layer(into, out, bias=bias, compress_statistics=nested)
    expected = own(rows(count, into))
    assert quicken(own) == 1
    found = own(rows(count, into))
    assert not torch.equal(found, expected)  # so it was the kernel
    assert difference(found, expected) < ROUNDING


def test_the_scales_of_scales_are_those_of_their_blocks() -> None:
    """Of a layer with so many blocks that there are some."""
    own = layer(640, 128)
    with torch.no_grad():
        weights = torch.randn(128, 640) * torch.logspace(-2, 2, 128)[:, None]
    own.weight.data, own.weight.quant_state = quantize_4bit(
        weights.half(), quant_type="nf4", compress_statistics=True
    )
    assert own.weight.quant_state.state2.absmax.numel() == 5
    expected = own(rows(4, 640))
    assert quicken(own) == 1
    found = own(rows(4, 640))
    each = (found - expected).abs().amax(0) / expected.abs().amax(0)
    assert each.max() < 10 * ROUNDING


def test_what_is_not_in_a_row_is_read_right() -> None:
    own = layer()
    gaps = rows(4, 512)[:, ::2]
    expected = own(gaps.contiguous())
    assert quicken(own) == 1
    assert difference(own(gaps), expected) < ROUNDING


def test_texts_of_several_tokens_keep_their_shape() -> None:
    own = layer()
    assert quicken(own) == 1
    assert own(rows(6).view(2, 3, 256)).shape == (2, 3, 64)


@pytest.mark.parametrize("x", [rows(1), rows(33), rows(4).float()], ids=["one", "many", "wider"])
def test_the_rest_is_left_to_bitsandbytes(x: Tensor) -> None:
    own = layer()
    expected = own(x)
    quicken(own)
    assert torch.equal(own(x), expected)


@pytest.mark.parametrize(
    "other",
    [
        layer(quant_type="fp4"),
        layer(compute_dtype=torch.float32),
        layer(out=72),
        layer(into=192),
        layer(quant_storage=torch.float16),
        blocks_of_128(),
        nn.Linear(256, 64),
    ],
    ids=[
        "FP4",
        "32 bits",
        "outputs left over",
        "inputs left over",
        "two bytes in one",
        "other blocks",
        "not in 4 bits",
    ],
)
def test_a_layer_of_another_kind_is_left_as_it_is(other: nn.Module) -> None:
    assert quicken(other) == 0
    assert "forward" not in vars(other)


@pytest.mark.parametrize("wrong", [torch.nan, 1.05], ids=["no numbers", "other numbers"])
def test_a_layer_that_would_give_something_else_is_left_as_it_is(wrong: float) -> None:
    own = layer()
    own.weight.quant_state.code = wrong * own.weight.quant_state.code  # which the CPU does not read
    assert quicken(own) == 0
    assert "forward" not in vars(own)


def test_what_fails_leaves_every_layer_as_it_was() -> None:
    model = nn.Sequential(layer(), layer(128))
    model[1].weight.quant_state.code = None
    with pytest.raises(InterpreterError):
        quicken(model)
    assert not any("forward" in vars(one) for one in model)


def test_nothing_is_read_behind_the_scales() -> None:
    """Of a layer with fewer blocks than a step takes."""
    own = layer(128, 32, compress_statistics=False)
    state = own.weight.quant_state
    behind = torch.cat([state.absmax, torch.full((256,), torch.nan)])
    state.absmax = behind[: state.absmax.numel()]
    assert quicken(own) == 1


# The assembler's part, which the interpreter cannot run.


def run(ptx: str, word: int) -> list[int]:
    """Do what PTX does with $4, and return $0 to $3 (PTX ISA 8.8: prmt, lop3, and, shr)."""
    registers = {"$4": word}

    def value(name: str) -> int:
        return registers[name] if name in registers else int(name, 0)

    for line in re.findall(r"(\S+)\.b32 (\S+), (.*);", ptx.replace(".reg .b32", "")):
        operation, target, *rest = line[0], line[1], *line[2].split(", ")
        a, b, *more = map(value, rest)
        if operation == "and":
            made = a & b
        elif operation == "shr":
            made = a >> b
        elif operation == "prmt":
            made = permuted(a.to_bytes(4, "little") + b.to_bytes(4, "little"), more[0])
        else:
            made = combined(a, b, *more)
        registers[target] = made
    return [registers[f"${place}"] for place in range(4)]


def permuted(source: bytes, selector: int) -> int:
    four = [selector >> 4 * place & 15 for place in range(4)]
    assert all(one < 8 for one in four), "the fourth bit repeats a sign"
    return int.from_bytes(bytes(source[one] for one in four), "little")


def combined(a: int, b: int, c: int, table: int) -> int:
    bits = ((a >> at & 1) << 2 | (b >> at & 1) << 1 | (c >> at & 1) for at in range(32))
    return sum((table >> three & 1) << at for at, three in enumerate(bits))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_byte_is_looked_up_as_its_two_codes(dtype: torch.dtype) -> None:
    code = layer().weight.quant_state.code
    ptx = linear.lookup(code, dtype)
    expected = [number & 0xFFFF for number in code.to(dtype).view(torch.int16).tolist()]
    for first in range(0, 256, 4):
        four = bytes(range(first, first + 4))
        found = [
            half
            for word in run(ptx, int.from_bytes(four, "little"))
            for half in (word & 0xFFFF, word >> 16)
        ]
        assert found[:4] == [expected[byte >> 4] for byte in four]
        assert found[4:] == [expected[byte & 15] for byte in four]


#: Compiles the kernel without a card, by Triton's own assembler.
COMPILE = """
import sys, torch
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from chat.engines.batched import linear
from chat.engines.batched.kernel import multiply
from bitsandbytes.functional import get_4bit_type

asm = linear.lookup(get_4bit_type("nf4", "cpu"), torch.bfloat16)
told = dict(TILE=linear.TILE, BLOCKS=linear.BLOCKS, HALF=32, SCALES=256, LOOKUP=asm)
types = "*bf16 *u8 *fp32 *u8 *fp32 *fp32 *fp32 *bf16 *bf16 i32 i32 i32 i32 i32".split()
types = dict(zip(multiply.arg_names, types)) | dict.fromkeys([*told, "ROWS"], "constexpr")
sizes = [(int(capability), rows) for capability in sys.argv[1:] for rows in linear.ROWS]
for capability, rows in sizes:
    source = ASTSource(multiply, types, told | {"ROWS": rows})
    options = dict(num_warps=linear.WARPS, num_stages=linear.STAGES)
    made = compile(source, target=GPUTarget("cuda", capability, 32), options=options)
    print(capability, made.metadata.shared, "mma" in made.asm["ptx"])
"""


def test_it_compiles_for_the_cards_that_it_is_for(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    command = [sys.executable, "-c", COMPILE, "80", "90"]
    found = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
    lines = [line.split() for line in found.splitlines()]
    assert [line[0] for line in lines] == ["80", "80", "90", "90"]
    for _, shared, tensor_cores in lines:
        assert int(shared) < 48_000  # bytes that every card has
        assert tensor_cores == "True"
