"""From files to a model as OpenVINO reads it: its intermediate representation (IR).

A folder of it is used as it is. A GGUF file is converted once, with its 4-bit
weights as they are but for their zeros, which become whole numbers; it then loads in
half the time and memory. A safetensors folder that OpenVINO can build (see `plain`) is
converted to 4 bits once.
"""

import re
import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from chat import child, machine
from chat.errors import ModelError
from chat.models import config, convert, parts, plain, progress
from chat.models.memory import require
from chat.models.unusable import no_tokenizer, unusable

#: Bytes of memory for each byte of weights, and room to work in.
WITH_ROOM = 1.5
ARCHITECTURES = ("llama", "qwen2", "qwen3")
#: Of matrices; norms and biases are in F32.
TYPES = {"F16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"}
#: Of the first layer, if it has one.
BIAS = "blk.0.attn_q.bias"
#: Where in openvino_model.bin a constant of openvino_model.xml is, in bytes; of a number that is
#: longer than any place in a file the first digits are enough.
CONSTANT = re.compile(rb' offset="(\d{1,19})\d*" size="(\d{1,19})\d*"')
#: What is among the first bytes of each XML file. Where OpenVINO misses it, it takes a file for one
#: of other kinds, and writes down what these make of it.
HEAD, HEAD_BYTES = re.compile(rb"<net\s[^>]*\bversion=[\"']\d"), 512
#: A property of openvino_genai that is not documented: write the model beside its GGUF file.
SAVE = "enable_save_ov_model"
#: How a folder in the cache is called, by whether the layers in it are fused (see `ir_fuse`).
FUSED, APART = "ir-fused", "ir"


def refusal(source: Path, cache: Path) -> str | None:
    """Return why OpenVINO cannot read a folder or GGUF file, or None if it can."""
    if source.is_dir():
        return _refused_folder(source)
    if any(convert.place(source, cache, kind).exists() for kind in (FUSED, APART)):
        return None
    reader = parts.reader(source)
    parts.require_whole(source.name, reader)
    architecture = reader.fields["general.architecture"].contents()
    types = {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) > 1}
    if architecture not in ARCHITECTURES:
        return f"its architecture is {architecture}"
    if f"{architecture}.expert_count" in reader.fields:
        return "it is a mixture of experts"
    if types - TYPES:
        return f"it has weights in {', '.join(sorted(types - TYPES))}"
    # OpenVINO would leave the scaling out, and long conversations would go astray.
    if f"{architecture}.rope.scaling.type" in reader.fields:
        return "it scales its positions"
    # Its heads are interleaved, and OpenVINO puts their weights in order, but not their biases.
    if architecture == "llama" and any(tensor.name == BIAS for tensor in reader.tensors):
        return "its attention has biases"
    parts.require_alike(source.name, reader)
    return None


def _refused_folder(folder: Path) -> str | None:
    if _is_ready(folder):
        return None
    if not (folder / "config.json").is_file():
        return "it is not an OpenVINO model"
    return plain.refusal(folder)


class Found(NamedTuple):
    """What a model would take, known before it is converted or loaded."""

    tokenizer: Any
    #: Its config.json.
    config: dict[str, Any]
    #: What is done with its weights.
    weights: str
    #: Bytes that they take, about.
    size: float
    #: Bytes of memory, at the most.
    memory: float
    #: Bytes of disk space for a conversion.
    disk: float


def outlook(source: Path, cache: Path, *, fused: bool = True) -> Found:
    """Return what `ready` of a model that is not refused would take, and its tokenizer.

    Raises:
        ModelError: its tokenizer or configuration cannot be read.
    """
    folder = place(source, cache, fused=fused)
    if folder is source or convert.whole(folder):
        _require_whole(folder)
        weights = "an OpenVINO model" if folder is source else "converted to an OpenVINO model"
        needed = loading_needs(folder)
        return Found(tokenizer(folder), config.read(folder), weights, needed / WITH_ROOM, needed, 0)
    memory, disk = conversion_needs(source)
    try:
        from transformers import AutoConfig, AutoTokenizer

        from chat.models import gguf_tokenizer

        where, options = (
            (source, {}) if source.is_dir() else (source.parent, {"gguf_file": source.name})
        )
        own = (
            gguf_tokenizer.load(source)
            if options
            else AutoTokenizer.from_pretrained(where, trust_remote_code=False)
        )
        settings = AutoConfig.from_pretrained(where, trust_remote_code=False, **options).to_dict()
    except ModelError:
        raise
    except Exception as error:
        raise no_tokenizer(error) from None
    kind = (
        "to be converted to 4 bits, once"
        if source.is_dir()
        else "to be converted as they are, once"
    )
    return Found(own, settings, kind, _size(source), memory, disk)


def place(source: Path, cache: Path, *, fused: bool = True) -> Path:
    """Return where the OpenVINO folder of a folder or GGUF file is, or will be."""
    if _is_ready(source):
        return source
    return convert.place(source, cache, FUSED if fused else APART)


def tokenizer_and_folder(source: Path, cache: Path) -> tuple[Any, Path]:
    """Return the tokenizer and the OpenVINO folder of a folder or GGUF file.

    Raises:
        ModelError: the files cannot be used, or the memory does not suffice.
    """
    folder = ready(source, cache)
    return tokenizer(folder), folder


def ready(source: Path, cache: Path, *, fused: bool = True) -> Path:
    """Return the OpenVINO folder of a folder or GGUF file; for adapters layers must not be fused.

    Raises:
        ModelError: the files cannot be used, or the memory does not suffice.
    """
    folder = place(source, cache, fused=fused)
    if folder is not source:
        doing = f"converting {convert.title(source)} for OpenVINO"
        convert.once(folder, doing, partial(_convert, source, FUSED if fused else APART))
    _require_whole(folder)
    require_room(folder)
    return folder


def loading_needs(folder: Path) -> float:
    """Return the bytes of memory that loading an OpenVINO folder takes."""
    return WITH_ROOM * (folder / "openvino_model.bin").stat().st_size


def _is_ready(source: Path) -> bool:
    return (source / "openvino_model.xml").is_file()


def tokenizer(folder: Path) -> Any:
    """Return the tokenizer of an OpenVINO folder.

    Raises:
        ModelError: it cannot be loaded.
    """
    for name in ("tokenizer.json", "openvino_tokenizer.xml"):
        if not (folder / name).is_file():
            raise ModelError(
                f"The model's tokenizer could not be loaded: its OpenVINO folder has no {name}, as "
                "older ones have not, and has to be made anew."
            )
    try:
        # Which takes a second, while the model is being loaded.
        from transformers import PreTrainedTokenizerFast, logging

        logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        # Not AutoTokenizer, which imports torch; this class reads tokenizer.json too.
        return PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:
        raise no_tokenizer(error) from None


def require_room(folder: Path, times: int = 1) -> None:
    """Raise ModelError if there is no memory to load a model so many times."""
    require(loading_needs(folder) * times, machine.free_memory(), "memory")


def _require_whole(folder: Path) -> None:
    """Raise ModelError for what is cut off or overwritten, so far as that is quickly seen."""
    for file in sorted(folder.glob("openvino_*.xml")):
        with file.open("rb") as opened:
            if not HEAD.search(opened.read(HEAD_BYTES)):
                raise unusable(f"{file.name} is damaged")
    weights = folder / "openvino_model.bin"
    read = CONSTANT.findall((folder / "openvino_model.xml").read_bytes())
    needed = max((int(offset) + int(size) for offset, size in read), default=0)
    if not weights.is_file() or weights.stat().st_size < needed:
        how = "was cut off" if weights.is_file() else "is missing"
        raise unusable(f"openvino_model.bin {how}")


def _convert(source: Path, kind: str, folder: Path) -> None:
    memory, disk = conversion_needs(source)
    require(memory, machine.free_memory(), "memory")
    require(disk, shutil.disk_usage(folder.parent).free, "disk space")
    name = convert.title(source)
    print(f"Converting {name} for OpenVINO, once", flush=True)
    # In a process of its own, whose memory is free again afterwards.
    process = child.start("chat.models.build", source, folder, kind, stderr=subprocess.PIPE)
    # It is written twice, and that of a folder as a GGUF file before.
    total = int(_size(source)) * (3 if source.is_dir() else 2)
    try:
        with progress.written(folder, total, "Converting"):
            errors = process.communicate()[1]
            if process.returncode:
                reason = errors.strip().rpartition("\n")[2] if process.returncode > 0 else ""
                reason = reason or "it is damaged, or takes too much time or memory"
                way_out = " Try --engine transformers." if source.is_dir() else ""
                raise ModelError(f"{name} could not be converted ({reason}).{way_out}")
    finally:
        process.kill()  # if it is not done, someone has interrupted this


def conversion_needs(source: Path) -> tuple[float, float]:
    """Return the bytes of memory and of disk space that converting `source` takes."""
    size = _size(source)
    if source.is_dir():
        return 2.5 * size, 2.2 * size
    return 4 * size, 3 * size  # OpenVINO keeps weights of 6 bits in 8


def _size(source: Path) -> float:
    """Return the bytes of a GGUF file, or of one that a folder makes."""
    if source.is_dir():
        from chat.models import as_gguf

        return as_gguf.size(source)
    return source.stat().st_size
