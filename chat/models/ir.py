"""From files to a model as OpenVINO reads it: its intermediate representation (IR).

A folder of it is used as it is. A GGUF file is converted once, with its 4-bit
weights as they are, since it then loads in half the time and memory.
"""

import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import transformers
from transformers import PreTrainedTokenizerFast

from chat import child
from chat.errors import ModelError
from chat.models import convert, parts
from chat.models.memory import require

ARCHITECTURES = ("llama", "qwen2", "qwen3")
TYPES = {"F32", "F16", "Q4_0", "Q4_1", "Q8_0", "Q4_K", "Q6_K"}
#: A property of openvino_genai that is not documented: write the model beside its GGUF file.
SAVE = "enable_save_ov_model"


def refusal(source: Path, cache: Path) -> str | None:
    """Return why OpenVINO cannot read a folder or GGUF file, or None if it can."""
    if source.is_dir():
        return None if (source / "openvino_model.xml").is_file() else "it is not an OpenVINO model"
    if convert.place(source, cache, "ir").exists():
        return None
    from gguf import GGUFReader

    try:
        reader = GGUFReader(source)
        architecture = reader.fields["general.architecture"].contents()
    except Exception:  # whatever the bytes led it to
        raise ModelError(f"{source.name} is not a GGUF file, or it is damaged.") from None
    parts.require_whole(source.name, reader)
    types = {tensor.tensor_type.name for tensor in reader.tensors}
    if architecture not in ARCHITECTURES:
        return f"its architecture is {architecture}"
    if f"{architecture}.expert_count" in reader.fields:
        return "it is a mixture of experts"
    if types - TYPES:
        return f"it has weights in {', '.join(sorted(types - TYPES))}"
    # OpenVINO would leave the scaling out, and long conversations would go astray.
    scaled = any(tensor.name == "rope_freqs.weight" for tensor in reader.tensors)
    if scaled or f"{architecture}.rope.scaling.type" in reader.fields:
        return "it scales its positions"
    return None


def tokenizer_and_folder(source: Path, cache: Path) -> tuple[Any, Path]:
    """Return the tokenizer and the OpenVINO folder of a folder or GGUF file.

    Raises:
        ModelError: the files cannot be used, or the memory does not suffice.
    """
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    folder = source if source.is_dir() else _converted(source, cache)
    require_more(folder, 0)
    try:
        # Not AutoTokenizer, which imports torch; this class reads tokenizer.json too.
        return PreTrainedTokenizerFast.from_pretrained(folder), folder
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"The model's tokenizer could not be loaded: {reason}") from None


def require_more(folder: Path, times: int) -> None:
    """Raise ModelError if there is no memory for the weights of a model so many times more."""
    weights = (folder / "openvino_model.bin").stat().st_size
    require(1.5 * weights * (1 + times), psutil.virtual_memory().available, "memory")


def _converted(gguf: Path, cache: Path) -> Path:
    doing = f"converting {gguf.name} for OpenVINO"
    return convert.once(convert.place(gguf, cache, "ir"), doing, partial(_convert, gguf))


def _convert(gguf: Path, folder: Path) -> None:
    size = gguf.stat().st_size
    require(4 * size, psutil.virtual_memory().available, "memory")
    require(1.2 * size, shutil.disk_usage(folder.parent).free, "disk space")
    print(f"Converting {gguf.name} for OpenVINO, once", flush=True)
    # In a process of its own, whose memory is free again afterwards.
    process = child.start("chat.models.ir", gguf, folder, stderr=subprocess.PIPE)
    try:
        errors = process.communicate()[1]
    finally:
        process.kill()  # if it is not done, someone has interrupted this
    if process.returncode:
        reason = errors.strip().rpartition("\n")[2]
        raise ModelError(f"{gguf.name} could not be converted ({reason}).")


def _write(gguf: Path, folder: Path) -> None:
    import openvino
    import openvino_genai
    from openvino_tokenizers import convert_tokenizer
    from transformers import AutoConfig, AutoTokenizer

    folder.mkdir()
    link = folder / gguf.name  # OpenVINO writes beside the file that it reads
    os.symlink(gguf.resolve(), link)
    scheduling = openvino_genai.SchedulerConfig()
    scheduling.num_kv_blocks = 1
    openvino_genai.ContinuousBatchingPipeline(link, scheduling, "CPU", {SAVE: True})
    link.unlink()
    AutoConfig.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    for name, model in zip(
        ("tokenizer", "detokenizer"),
        convert_tokenizer(tokenizer, with_detokenizer=True),
        strict=True,
    ):
        openvino.save_model(model, folder / f"openvino_{name}.xml")


if __name__ == "__main__":
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
