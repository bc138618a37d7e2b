"""From files to a model as OpenVINO reads it: its intermediate representation (IR).

A folder of it is used as it is. A GGUF file is converted once, with its 4-bit
weights as they are, since it then loads in half the time and memory. A safetensors
folder that OpenVINO can build (see `plain`) is converted to 4 bits once.
"""

import shutil
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import transformers
from transformers import PreTrainedTokenizerFast

from chat import child
from chat.errors import ModelError
from chat.models import convert, parts, plain
from chat.models.memory import require

ARCHITECTURES = ("llama", "qwen2", "qwen3")
#: Of matrices; norms and biases are in F32.
TYPES = {"F16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"}
#: A property of openvino_genai that is not documented: write the model beside its GGUF file.
SAVE = "enable_save_ov_model"


def refusal(source: Path, cache: Path) -> str | None:
    """Return why OpenVINO cannot read a folder or GGUF file, or None if it can."""
    if source.is_dir():
        return _refused_folder(source)
    if convert.place(source, cache, "ir").exists():
        return None
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        architecture = reader.fields["general.architecture"].contents()
    except Exception:  # whatever the bytes led it to
        raise ModelError(f"{source.name} is not a GGUF file, or it is damaged.") from None
    parts.require_whole(source.name, reader)
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
    return None


def _refused_folder(folder: Path) -> str | None:
    if (folder / "openvino_model.xml").is_file():
        return None
    if not (folder / "config.json").is_file():
        return "it is not an OpenVINO model"
    return plain.refusal(folder)


def tokenizer_and_folder(source: Path, cache: Path) -> tuple[Any, Path]:
    """Return the tokenizer and the OpenVINO folder of a folder or GGUF file.

    Raises:
        ModelError: the files cannot be used, or the memory does not suffice.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    ready = (source / "openvino_model.xml").is_file()
    folder = source if ready else _converted(source, cache)
    weights = (folder / "openvino_model.bin").stat().st_size
    require(1.5 * weights, psutil.virtual_memory().available, "memory")
    try:
        # Not AutoTokenizer, which imports torch; this class reads tokenizer.json too.
        return PreTrainedTokenizerFast.from_pretrained(folder), folder
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"The model's tokenizer could not be loaded: {reason}") from None


def _converted(source: Path, cache: Path) -> Path:
    doing = f"converting {convert.title(source)} for OpenVINO"
    return convert.once(convert.place(source, cache, "ir"), doing, partial(_convert, source))


def _convert(source: Path, folder: Path) -> None:
    memory, disk = conversion_needs(source)
    require(memory, psutil.virtual_memory().available, "memory")
    require(disk, shutil.disk_usage(folder.parent).free, "disk space")
    name = convert.title(source)
    print(f"Converting {name} for OpenVINO, once", flush=True)
    # In a process of its own, whose memory is free again afterwards.
    process = child.start("chat.models.build", source, folder, stderr=subprocess.PIPE)
    try:
        errors = process.communicate()[1]
    finally:
        process.kill()  # if it is not done, someone has interrupted this
    if process.returncode:
        reason = errors.strip().rpartition("\n")[2]
        way_out = " Try --engine transformers." if source.is_dir() else ""
        raise ModelError(f"{name} could not be converted ({reason}).{way_out}")


def conversion_needs(source: Path) -> tuple[float, float]:
    """Return the bytes of memory and of disk space that converting `source` takes."""
    if source.is_dir():
        from chat.models import as_gguf

        size = as_gguf.size(source)
        return 2.5 * size, 2.2 * size
    size = source.stat().st_size
    return 4 * size, 2.2 * size
