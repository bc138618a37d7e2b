"""chat.models.quantized: checkpoints that are quantized already, real ones where possible."""

import json
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from bitsandbytes.nn import Linear4bit, Linear8bitLt
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from chat.errors import ModelError
from chat.models import quantize, quantized
from tests.support import tiny_models
from tests.support.tiny import chatml_tokenizer

IDS = torch.tensor([[5, 6, 7, 8]])
needs_no_cuda = pytest.mark.skipif(
    torch.cuda.is_available(), reason="a CPU unpacks what CUDA need not"
)


def saved(family: str, folder: Path, **changes: Any) -> PreTrainedModel:
    """Save a model with its tokenizer in `folder`, and return it."""
    tokenizer = chatml_tokenizer()
    model = tiny_models.family(family, len(tokenizer), **changes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def says(
    folder: Path, quantization: dict[str, Any] | None, key: str = "quantization_config"
) -> None:
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, key: quantization}))


def load(folder: Path) -> PreTrainedModel:
    return quantize.tokenizer_and_model(folder, folder)[1]


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS.to(model.device)).logits.float().cpu()


def refusal(folder: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder)
    return str(caught.value)


#: As real checkpoints have them; each needs a package or a GPU that is not here.
FOREIGN: dict[str, dict[str, Any]] = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False, "sym": True},
    "awq": {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
    "compressed-tensors": {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {"num_bits": 4, "type": "int", "group_size": 128, "strategy": "group"},
            }
        },
        "ignore": ["lm_head"],
    },
    "hqq": {
        "quant_method": "hqq",
        "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}},
    },
    "eetq": {"quant_method": "eetq", "weights": "int8"},
    "torchao": {
        "quant_method": "torchao",
        "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}},
    },
    "quark": {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int4"}}},
    "aqlm": {"quant_method": "aqlm", "nbits_per_codebook": 16},
    "quanto": {"quant_method": "quanto", "weights": "int8"},
    "vptq": {"quant_method": "vptq", "config_for_layers": {}},
    "auto-round": {"quant_method": "auto-round", "bits": 4, "group_size": 128},
    "fbgemm_fp8": {"quant_method": "fbgemm_fp8"},
    "modelopt": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "exl3": {"quant_method": "exl3", "version": "0.0.1", "bits": 4.0},
    "nvfp4": {"quant_method": "nvfp4"},
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    saved("llama-3", folder)
    return folder


@pytest.mark.parametrize("name", FOREIGN)
def test_what_cannot_be_loaded_here_is_refused_with_the_way_out(plain: Path, name: str) -> None:
    says(plain, FOREIGN[name])
    assert refusal(plain) == (
        f"This model is quantized with {name} already, which cannot be loaded here: take the "
        "original that it was made from, which is quantized to 4 bits here, or run it on a server "
        "such as vLLM."
    )


@pytest.mark.parametrize(
    ("quantization", "key"),
    [
        ({"bits": 4, "group_size": 64}, "quantization"),
        ({"quant_method": None, "bits": 4}, "quantization_config"),
        ({"quant_method": "see /etc/passwd", "bits": 4}, "quantization_config"),
        ({"config_groups": {}}, "compression_config"),
    ],
)
def test_a_method_without_a_name_is_refused_too(
    tmp_path: Path, quantization: dict[str, Any], key: str
) -> None:
    saved("llama-3", tmp_path)
    says(tmp_path, quantization, key)
    assert refusal(tmp_path).startswith("This model is quantized already, which cannot be loaded")


@pytest.mark.parametrize(
    "settings",
    [{}, {"quantization_config": None}, {"quantization_config": {}}, {"quantization": 4}],
)
def test_what_is_not_quantized_has_no_method(settings: dict[str, Any]) -> None:
    assert quantized.method(settings) is None
    assert quantized.method({"text_config": settings}) is None


def test_the_method_of_a_model_that_also_sees_stands_with_its_texts() -> None:
    assert quantized.method({"text_config": {"quantization_config": FOREIGN["awq"]}})


def in_bitsandbytes(folder: Path, target: Path, config: BitsAndBytesConfig) -> Path:
    model = AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=config, dtype=torch.float16, device_map=None
    )
    model.save_pretrained(target)
    chatml_tokenizer().save_pretrained(target)
    return target


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("blocksize_fits", [True, False])
def test_4_bits_are_taken_as_they_are_and_computed_in_what_this_machine_has(
    tmp_path: Path, kind: str, blocksize_fits: bool
) -> None:
    # A CPU's kernel for packed weights takes rows by 32 and columns by 64.
    sizes = {} if blocksize_fits else {"intermediate_size": 80}
    model = saved("llama-3", tmp_path / "plain", **sizes)
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type=kind, bnb_4bit_compute_dtype=torch.float16
    )
    folder = in_bitsandbytes(tmp_path / "plain", tmp_path / "4-bit", config)
    found = load(folder)
    layers = [layer for layer in found.modules() if isinstance(layer, Linear4bit)]
    assert len(layers) == 14
    assert {layer.compute_dtype for layer in layers} == {quantize.compute_dtype()}
    assert {layer.weight.quant_type for layer in layers} == {kind}
    others = {part.dtype for part in found.parameters() if part.itemsize > 1}
    assert others == {quantize.compute_dtype()}
    near = (logits(found) - logits(model)).abs().mean()
    assert near < logits(model).abs().mean() / 2


@pytest.mark.parametrize("computed", [torch.float32, torch.bfloat16])
def test_4_bits_that_are_stored_as_numbers_of_16_are_no_numbers(
    tmp_path: Path, computed: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = saved("llama-3", tmp_path / "plain")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_storage=torch.float16)
    folder = in_bitsandbytes(tmp_path / "plain", tmp_path / "4-bit", config)
    monkeypatch.setattr(quantize, "compute_dtype", lambda: computed)
    found = load(folder)
    assert found.model.layers[0].mlp.up_proj.weight.dtype == torch.float16
    assert (logits(found) - logits(model)).abs().mean() < logits(model).abs().mean() / 2


def test_8_bits_are_taken_as_they_are(tmp_path: Path) -> None:
    model = saved("llama-3", tmp_path / "plain")
    config = BitsAndBytesConfig(load_in_8bit=True)
    found = load(in_bitsandbytes(tmp_path / "plain", tmp_path / "8-bit", config))
    assert isinstance(found.model.layers[1].mlp.up_proj, Linear8bitLt)
    assert (logits(found) - logits(model)).abs().mean() < logits(model).abs().mean() / 10


def test_matrices_of_any_shape_are_quantized_and_used(tmp_path: Path) -> None:
    model = saved("llama-3", tmp_path, intermediate_size=80)
    found = load(tmp_path)
    assert isinstance(found.model.layers[0].mlp.down_proj, Linear4bit)
    assert (logits(found) - logits(model)).abs().mean() < logits(model).abs().mean() / 2


FP8 = {
    "quant_method": "fp8",
    "activation_scheme": "dynamic",
    "fmt": "e4m3",
    "weight_block_size": [64, 64],
}


def in_fp8(folder: Path) -> PreTrainedModel:
    """Save a model in FP8, with a scale for each block of 64 x 64, and return what it means."""
    model = saved("llama-2", folder)
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if "proj" in name]:
        rows, columns = weights[name].shape
        blocks = weights[name].view(rows // 64, 64, columns // 64, 64)
        scales = blocks.abs().amax((1, 3)) / 448
        packed = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
        meant = packed.float() * scales[:, None, :, None]
        model.get_parameter(name).data = meant.view(rows, columns)
        weights[name], weights[f"{name}_scale_inv"] = packed.view(rows, columns), scales
    for name in [name for name in weights if "proj" not in name]:
        weights[name] = weights[name].half()  # as no machine computes that unpacks
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    says(folder, FP8)
    return model


#: What each of the 16 numbers of 4 bits means (OCP Microscaling Formats, 1.0).
FP4 = torch.tensor([0, 0.5, 1, 1.5, 2, 3, 4, 6])
FP4 = torch.cat([FP4, -FP4])
MXFP4 = {
    "quant_method": "mxfp4",
    "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"],
}


def in_mxfp4(folder: Path) -> PreTrainedModel:
    """Save a gpt-oss with its experts in MXFP4, by 32 with a power of 2, and return its meaning."""
    model = saved("gpt-oss", folder)
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith(("experts.gate_up_proj", "down_proj"))]:
        values = weights.pop(name).transpose(1, 2).contiguous()  # [experts, rows, columns]
        groups = values.view(*values.shape[:2], -1, 32)
        powers = (groups.abs().amax(-1) / 6).log2().ceil()
        nearest = (groups / powers.exp2()[..., None])[..., None] - FP4
        numbers = nearest.abs().argmin(-1).to(torch.uint8)
        meant = (FP4[numbers.long()] * powers.exp2()[..., None]).view(values.shape)
        model.get_parameter(name).data = meant.transpose(1, 2).contiguous()
        weights[f"{name}_blocks"] = numbers[..., ::2] | numbers[..., 1::2] << 4
        weights[f"{name}_scales"] = (powers + 127).to(torch.uint8)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    says(folder, MXFP4)
    return model


unpacked = pytest.mark.parametrize("make", [in_fp8, in_mxfp4])


@needs_no_cuda
@unpacked
def test_what_has_no_kernels_here_is_unpacked_and_means_the_same(tmp_path: Path, make: Any) -> None:
    model = make(tmp_path)
    found = load(tmp_path)
    assert not any(part.dtype.itemsize == 1 for part in found.parameters())
    assert (logits(found) - logits(model)).abs().mean() < logits(model).abs().mean() / 20


@needs_no_cuda
@pytest.mark.parametrize("computed", [torch.float32, torch.float16, torch.bfloat16])
@unpacked
def test_what_lies_beside_them_is_in_the_type_that_is_computed_in(
    tmp_path: Path, make: Any, computed: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tmp_path)
    monkeypatch.setattr(quantize, "compute_dtype", lambda: computed)
    found = load(tmp_path)
    wide = {"norm"} if make is in_mxfp4 and computed == torch.float16 else set()
    for name, part in found.named_parameters():
        expected = torch.float32 if any(word in name for word in wide) else computed
        assert part.dtype == expected, name
    assert (logits(found) - logits(model)).abs().mean() < logits(model).abs().mean() / 20


class Memory(NamedTuple):
    available: int


@needs_no_cuda
@unpacked
def test_what_is_unpacked_must_fit_unpacked(
    tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tmp_path)
    size = (tmp_path / "model.safetensors").stat().st_size
    needed = sum(part.numel() for part in model.parameters()) * quantize.compute_dtype().itemsize
    assert needed > size * 1.1
    for free, fits in ((needed, False), (1.3 * needed, True)):
        monkeypatch.setattr("psutil.virtual_memory", lambda free=free: Memory(int(free)))
        if fits:
            load(tmp_path)
        else:
            assert "has to be unpacked to 16 bits here: choose an original" in refusal(tmp_path)


def gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int] | None, kernels: bool) -> None:
    """Stand in for a GPU of this capability, or none, and for the package `kernels`."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: capability is not None)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda *_: capability)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda *_: (1000, 1000))
    for module in ("utils.import_utils", "quantizers.quantizer_mxfp4"):
        monkeypatch.setattr(f"transformers.{module}.is_kernels_available", lambda: kernels)
    triton = "transformers.quantizers.quantizer_mxfp4.is_triton_available"
    monkeypatch.setattr(triton, lambda *_: True)


GPUS = [None, (7, 0), (7, 5), (8, 0), (8, 9), (9, 0), (10, 0)]


@pytest.mark.parametrize(("make", "needed"), [(in_fp8, (8, 9)), (in_mxfp4, (7, 5))])
def test_the_memory_that_is_asked_for_is_that_of_what_will_be_loaded(
    tmp_path: Path, make: Any, needed: tuple[int, int]
) -> None:
    model = make(tmp_path)
    size = (tmp_path / "model.safetensors").stat().st_size
    weights = sum(part.numel() for part in model.parameters())
    for capability, kernels in product(GPUS, (True, False)):
        packed = kernels and capability is not None and capability >= needed
        expected = "quantized already" + ("" if packed else ", to be unpacked to 16 bits")
        with pytest.MonkeyPatch.context() as patch:
            gpu(patch, capability, kernels)
            loaded = size if packed else weights * quantize.compute_dtype().itemsize
            assert quantize.loading_needs(tmp_path) == pytest.approx(1.2 * loaded), capability
            assert quantize.outlook(tmp_path, tmp_path).weights == expected


@pytest.mark.parametrize(
    ("make", "capability", "kernels", "way_out"),
    [
        (in_fp8, (8, 0), True, "an original in 16 bits, which is quantized to 4 bits here"),
        (in_fp8, (8, 9), False, "--model. With the package kernels this GPU computes with them"),
        (in_fp8, (8, 0), False, "or a smaller one with --model."),
        (in_mxfp4, (7, 5), False, "--model. With the package kernels this GPU computes with them"),
        (in_mxfp4, (7, 0), False, "an original that is not, or a smaller one with --model."),
    ],
)
def test_who_has_no_memory_for_them_unpacked_hears_each_way_out(
    tmp_path: Path,
    make: Any,
    capability: tuple[int, int],
    kernels: bool,
    way_out: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make(tmp_path)
    gpu(monkeypatch, capability, kernels)
    said = refusal(tmp_path)
    assert way_out in said
    assert ("package kernels" in said) == ("package kernels" in way_out)


@needs_no_cuda
@pytest.mark.parametrize(
    ("make", "left_out"),
    [
        (in_fp8, "model.layers.1.mlp.up_proj.weight"),
        (in_fp8, "model.layers.1."),
        (in_mxfp4, "model.layers.0.mlp.experts.down_proj_blocks"),
        (in_mxfp4, "model.layers.1."),
        ("4-bit", "model.layers.1.mlp.up_proj.weight"),
        ("4-bit", "model.layers.1.mlp.up_proj.weight.absmax"),
        ("4-bit", "model.layers.1."),
        ("4-bit", "model.norm"),
        ("8-bit", "model.layers.0.mlp.up_proj.SCB"),
        ("8-bit", "model.layers.1."),
    ],
)
def test_weights_that_are_missing_are_told_of(tmp_path: Path, make: Any, left_out: str) -> None:
    folder = tmp_path
    if isinstance(make, str):
        saved("llama-3", tmp_path / "plain")
        config = BitsAndBytesConfig(load_in_4bit=make == "4-bit", load_in_8bit=make == "8-bit")
        folder = in_bitsandbytes(tmp_path / "plain", tmp_path / "quantized", config)
    else:
        make(folder)
    weights = load_file(folder / "model.safetensors")
    kept = {name: part for name, part in weights.items() if not name.startswith(left_out)}
    assert len(kept) < len(weights)
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    said = refusal(folder)
    assert said.startswith("The model could not be loaded: ")
    assert "it is incomplete, without" in said or "some of its weights are missing" in said
