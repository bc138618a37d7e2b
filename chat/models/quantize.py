"""From files to a model in 4 bits: bitsandbytes NF4 (Dettmers et al., QLoRA, 2023).

A folder is quantized while it loads, unless it is quantized already. A GGUF file is
unpacked and quantized once. The 4-bit result of either is kept in the cache, so that the
next start converts nothing and reads a quarter.
"""

import math
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from bitsandbytes.nn import Linear4bit
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
    GgufConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from chat import machine
from chat.errors import ModelError, out_of_memory
from chat.models import (
    cards,
    checkpoint,
    config,
    convert,
    gguf_positions,
    gguf_tokenizer,
    keep,
    parts,
    quantized,
)
from chat.models.memory import SMALLER, require
from chat.models.unusable import unusable

#: Bytes of memory for each byte of weights, and room to work in.
WITH_ROOM = 1.2
#: What a kind of model multiplies by without asking the layer whose matrix it is.
WHOLE = {"mamba": ["lm_head", "dt_proj"]}
#: Rows of a matrix of which bitsandbytes packs so many at a time for a CPU with AVX512-BF16.
PACKED_ROWS = 32
#: What a CPU must have for oneDNN to compute in bfloat16: AVX-512, or instructions of its own.
BFLOAT16 = ("avx512_bw", "avx_ne_convert", "bf16")


def tokenizer_and_model(source: Path, cache: Path) -> tuple[Any, PreTrainedModel]:
    """Return the tokenizer and the 4-bit model of a folder or GGUF file.

    Raises:
        ModelError: the files cannot be used, or the memory does not suffice.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with _explained():
        kept = convert.place(source, cache, _kind(source))
        folder = kept if convert.whole(kept) else source
        if folder.suffix.lower() == ".gguf":
            folder = _converted(source, cache)
        needed = loading_needs(folder)
        require(needed, free_memory(needed), kind_of_memory(), _advice(folder))
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model = _load_4_bit(folder, needed)
        size = keep.size(folder, needed / WITH_ROOM)
        if size and len(cards.devices(model)) == 1:
            keep.keep(model, folder, kept, size)
        return tokenizer, model


class Found(NamedTuple):
    """What a model would take, known before it is converted or loaded."""

    tokenizer: Any
    config: PreTrainedConfig
    #: What is done with its weights.
    weights: str
    #: Bytes that they take in memory.
    size: float
    #: Bytes of memory, at the most.
    memory: float
    #: Bytes of disk space for a conversion.
    disk: float


def outlook(source: Path, cache: Path) -> Found:
    """Return what `tokenizer_and_model` of a folder or GGUF file would take.

    Raises:
        ModelError: transformers does not know this kind of model, or it is damaged.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with _explained():
        converted = convert.place(source, cache, _kind(source))
        folder = converted if convert.whole(converted) else source
        options = {} if folder.is_dir() else {"gguf_file": folder.name}
        where = folder if folder.is_dir() else folder.parent
        if options:
            parts.require_whole(folder.name, parts.reader(folder))
        settings = _config(where, **options)
        tokenizer = (
            gguf_tokenizer.load(folder)
            if options
            else AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        )
        if options:
            memory, disk = conversion_needs(folder)
            size = checkpoint.nf4_bytes(checkpoint.empty(settings, compute_dtype()))
            kind = "to be converted to 4-bit NF4, once"
            return Found(tokenizer, settings, kind, size, memory, disk)
        memory = loading_needs(folder)
        kind = "to 4-bit NF4 while it loads"
        if size := keep.size(folder, memory / WITH_ROOM):
            kind += f", and kept in {size / 1e9:.1f} GB if there is disk space"
        if folder is converted:
            kind = "converted to 4-bit NF4"
        elif quantization := _quantization(folder):
            unpacks = quantized.unpacks(quantization)
            kind = "quantized already" + ", to be unpacked to 16 bits" * unpacks
        cards.device_map(memory, partial(_empty, folder))
        return Found(tokenizer, settings, kind, memory / WITH_ROOM, memory, 0)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what libraries raise into a sentence."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # of a dozen libraries, for as many reasons
        if out_of_memory(error):
            raise ModelError(
                "There is not enough memory to load this model. Choose a smaller one with --model."
            ) from None
        # Libraries have some without it, and a file that is missing is the model's fault.
        if (
            isinstance(error, OSError)
            and error.strerror
            and not isinstance(error, FileNotFoundError)
        ):
            raise unusable(error.strerror) from None
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            "The model could not be loaded: it is damaged, incomplete or of a kind that "
            f"transformers does not know. Its reason: {type(error).__name__}, {reason}"
        ) from error


def compute_dtype() -> torch.dtype:
    """Return the type that this machine computes 4-bit layers in.

    bfloat16 where it is fast (CUDA from capability 8.0 on, a CPU for which oneDNN
    has kernels of it), else float16 on CUDA and float32 on the CPU.
    """
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
    cpu = torch.cpu.get_capabilities()
    has_bfloat16 = any(cpu.get(name) for name in BFLOAT16)
    return torch.bfloat16 if has_bfloat16 else torch.float32


def nf4(whole: list[str] | None = None) -> BitsAndBytesConfig:
    """Return the quantization: NF4, with its scales quantized once more.

    It leaves the modules with these names `whole`, by default the last one.
    """
    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        llm_int8_skip_modules=whole,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute_dtype(),
    )


def _load_4_bit(folder: Path, needed: float) -> PreTrainedModel:
    # It plans anew for each length, which is each token, and on some GPUs its sums are wrong
    # (torch 2.13, pytorch/pytorch#193893); flash attention does as well.
    torch.backends.cuda.enable_cudnn_sdp(False)
    quantization = _quantization(folder)
    whole = WHOLE.get(config.read(folder).get("model_type", ""))
    try:
        model = checkpoint.loaded(
            AutoModelForCausalLM,
            folder,
            dtype=compute_dtype(),
            device_map=cards.device_map(needed, partial(_empty, folder)),
            use_safetensors=True,
            trust_remote_code=False,
            generation_config=GenerationConfig(),  # type: ignore[no-untyped-call]
            **(
                quantized.options(quantization)
                if quantization
                else {"quantization_config": nf4(whole)}
            ),
        )
    except ImportError:
        if not quantization:
            raise
        raise quantized.refused(quantization) from None
    # transformers itself would not load a model whose authors have set what it cannot use.
    for name, value in config.generation(folder).items():
        setattr(model.generation_config, name, value)
    if quantization:
        _cast(model)
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            _adapt(layer)
    return model.eval()  # type: ignore[no-untyped-call, no-any-return]


def _cast(model: PreTrainedModel) -> None:
    """Have embeddings, norms and the like in the type that this machine computes in.

    What a quantized checkpoint has besides its layers, transformers leaves as it is in
    the files, and two types do not mix. What a model needs in float32 stays so.
    """
    wide = [*(model._keep_in_fp32_modules_strict or ())]
    if compute_dtype() == torch.float16:
        wide += model._keep_in_fp32_modules or ()
    for name, module in model.named_modules():
        parts = list(module.parameters(recurse=False))
        packed = isinstance(module, Linear4bit) or any(part.itemsize == 1 for part in parts)
        for part in () if packed else parts:
            in_float32 = any(word in name for word in wide)
            part.data = part.data.to(torch.float32 if in_float32 else compute_dtype())


def _adapt(layer: Any) -> None:
    """Have a 4-bit layer compute as this machine does, whatever it was quantized on.

    A CPU with AVX512-BF16 has a kernel for weights that bitsandbytes packs at their first
    use, and fails to where a matrix has not its shape: those it computes as other CPUs do.
    """
    layer.compute_dtype = compute_dtype()
    rows, columns = layer.weight.quant_state.shape
    if rows % PACKED_ROWS or columns % layer.weight.quant_state.blocksize:
        layer.support_avx512bf16_for_cpu = False


def _kind(source: Path) -> str:
    kind = f"nf4-{str(compute_dtype()).removeprefix('torch.')}"
    # Those that were converted when nobody looked at their positions are converted anew.
    return f"{kind}-positions" if source.suffix.lower() == ".gguf" else kind


def _converted(gguf: Path, cache: Path) -> Path:
    doing = f"converting {gguf.name} to 4-bit NF4"
    return convert.once(convert.place(gguf, cache, _kind(gguf)), doing, partial(_convert, gguf))


def _convert(gguf: Path, folder: Path) -> None:
    parts.require_whole(gguf.name, parts.reader(gguf))
    memory, disk = conversion_needs(gguf)
    require(memory, machine.free_memory(), "memory")
    require(disk, shutil.disk_usage(folder.parent).free, "disk space")
    print(f"Converting {gguf.name} to 4-bit NF4, once", flush=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unpacked:
        tokenizer = gguf_tokenizer.load(gguf)
        model = checkpoint.loaded(
            AutoModelForCausalLM,
            gguf.parent,
            config=_config(gguf.parent, gguf_file=gguf.name),
            gguf_file=gguf.name,
            dtype=compute_dtype(),
            quantization_config=GgufConfig(dequantize=True),
        )
        model.save_pretrained(unpacked)
        del model
        whole = Path(unpacked)
        _load_4_bit(whole, loading_needs(whole)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def conversion_needs(gguf: Path) -> tuple[float, float]:
    """Return the bytes of memory and of disk space that converting a GGUF file takes.

    All of it is in the type that is computed in on the way, in memory and on the disk.
    """
    tensors = parts.reader(gguf).tensors
    size = sum(math.prod(map(int, one.shape)) for one in tensors) * compute_dtype().itemsize
    return 1.1 * size, 1.5 * size


def loading_needs(folder: Path) -> float:
    """Return the bytes of memory that loading a folder takes, and working with it.

    Raises:
        ModelError: its weights are not all there, or cannot be loaded here.
    """
    settings = _config(folder)
    quantization = _quantization(folder)
    unpacks = quantization and quantized.unpacks(quantization)
    weights = checkpoint.described(folder)
    if not quantization:
        needed = checkpoint.nf4_bytes(checkpoint.tried(weights, settings, compute_dtype()))
    elif unpacks:
        needed = sum(part.nbytes for part in _empty(folder).parameters())
    else:
        needed = sum(file.stat().st_size for file in checkpoint.files(folder))
    return needed * WITH_ROOM


def _empty(folder: Path) -> PreTrainedModel:
    return checkpoint.empty(_config(folder), compute_dtype())


def kind_of_memory() -> str:
    """Return which memory models are loaded into."""
    return "GPU memory" if torch.cuda.is_available() else "memory"


def free_memory(needed: float) -> int:
    """Return the bytes of it that are free where a model of `needed` bytes goes."""
    gpus = cards.free(needed)
    return sum(gpus) if gpus else machine.free_memory()


def _advice(folder: Path) -> str:
    quantization = _quantization(folder)
    unpacks = quantization and quantized.unpacks(quantization)
    return quantized.advice(quantization) if quantization and unpacks else SMALLER


def _quantization(folder: Path) -> dict[str, Any] | None:
    return quantized.method(config.read(folder))


def _config(where: Path, **gguf: str) -> PreTrainedConfig:
    """Return the configuration of a folder, or of a GGUF file in it.

    Raises:
        ModelError: it is damaged, or of a kind that transformers does not know, or no language
            model.
    """
    kind = "llama" if gguf else config.read(where).get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        name = f" ({kind})" if isinstance(kind, str) and quantized.NAME.fullmatch(kind) else ""
        raise unusable(
            f"it is of a kind that transformers does not know{name}, and code that a model brings "
            "is never run; choose another with --model"
        )
    try:
        found: PreTrainedConfig = AutoConfig.from_pretrained(where, trust_remote_code=False, **gguf)
    except Exception as error:  # of its many checks
        if gguf:
            raise
        raise unusable(f"its config.json is not that of a {kind} model") from error
    if gguf:
        name = gguf["gguf_file"]
        gguf_positions.put(name, parts.reader(where / name), found)
    if type(found) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(f"A model of the kind {found.model_type} does not write text.")
    return found
