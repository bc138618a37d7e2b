"""4-bit layers with the short way to the kernel, beside bitsandbytes' own."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from bitsandbytes.functional import has_avx512bf16
from bitsandbytes.nn import Linear4bit
from torch import nn

from chat.engines.transformers.cpu import linear
from chat.engines.transformers.cpu.linear import call_kernels_directly

pytestmark = pytest.mark.skipif(
    not has_avx512bf16(), reason="needs a CPU with AVX512-BF16, for which bitsandbytes packs"
)


class Layers(nn.Module):
    """What `call_kernels_directly` sees of a model."""

    device = torch.device("cpu")
    is_loaded_in_4bit = True

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        options = {"bias": False, "quant_type": "nf4", "compute_dtype": torch.bfloat16, **changes}
        torch.manual_seed(0)
        self.layer = Linear4bit(128, 64, **options).to("cpu").eval().requires_grad_(False)
        self(token(1))  # bitsandbytes packs at the first use

    @torch.inference_mode()
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def token(count: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(1, count, 128, generator=generator).to(dtype)


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("nested", [True, False])
def test_it_computes_the_same_to_the_bit(count: int, dtype: torch.dtype, nested: bool) -> None:
    model = Layers(compress_statistics=nested)
    expected = model(token(count, dtype))
    assert call_kernels_directly(model) == 1
    assert torch.equal(model(token(count, dtype)), expected)
    assert model(token(count, dtype)).dtype == dtype


def test_a_token_that_is_a_view_with_gaps_is_read_right() -> None:
    model = Layers()
    gaps = torch.randn(1, 1, 256).bfloat16()[..., ::2]
    expected = model(gaps.contiguous())
    call_kernels_directly(model)
    assert torch.equal(model(gaps), expected)


def test_one_token_goes_straight_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Layers()
    call_kernels_directly(model)

    def detour(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("bitsandbytes.matmul_4bit", detour)
    model(token(1))
    with pytest.raises(AssertionError):
        model(token(2))


@pytest.mark.parametrize(
    "changes", [{"quant_type": "fp4"}, {"bias": True}, {"compute_dtype": torch.float32}], ids=str
)
def test_layers_of_other_kinds_stay_as_they_are(changes: dict[str, Any]) -> None:
    model = Layers(**changes)
    assert call_kernels_directly(model) == 0
    assert "forward" not in vars(model.layer)


def test_a_kernel_that_computes_something_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Layers()
    monkeypatch.setattr(
        "bitsandbytes.functional.lib", SimpleNamespace(**{linear.KERNEL: lambda *_: None})
    )
    assert call_kernels_directly(model) == 0


def test_a_bitsandbytes_without_the_kernel_is_used_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Layers()
    monkeypatch.setattr("bitsandbytes.functional.lib", SimpleNamespace())
    assert call_kernels_directly(model) == 0
