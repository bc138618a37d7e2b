"""A model in 4 bits, kept for the next start, which then quantizes nothing and reads a quarter."""

import shutil
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from transformers import GenerationConfig, PreTrainedModel

from chat import space
from chat.models import checkpoint, config, convert, locate, quantized

#: Bytes that must be spared, and the share of the original at the most: the experts of a mixture,
#: which stay in 16 bits, are no smaller on a disk.
WORTH, SHARE = 300_000_000, 2 / 3
#: What lies beside weights, and stays as its authors have it.
BESIDE = (*locate.FILES, "*.jinja", f"{convert.TEMPLATES}/*.jinja")


def size(folder: Path, in_4_bits: float) -> float:
    """Return how many bytes of disk the weights of `folder` are worth, which is 0 or `in_4_bits`.

    Not if they are quantized already; nor on ZeroGPU, where those on the GPU are not really there.
    """
    if quantized.method(config.read(folder)) or space.zero_gpu():
        return 0
    whole = sum(file.stat().st_size for file in checkpoint.files(folder))
    return in_4_bits if whole - in_4_bits >= WORTH and in_4_bits <= SHARE * whole else 0


def keep(model: PreTrainedModel, folder: Path, target: Path, size: float) -> None:
    """Keep `model`, made of `folder`, in the folder `target`; or say why there is no room.

    As much again stays free.
    """
    name, needed = convert.title(folder), f"{size / 1e9:.1f} GB"
    again = f"The next start quantizes {name} again"
    try:
        if 2 * size > shutil.disk_usage(target.parent).free:
            print(f"{again}: to keep it in 4 bits takes {needed} of disk space", flush=True)
            return
        print(f"Keeping {name} in 4 bits ({needed}) for the next start, once", flush=True)
        convert.once(target, f"keeping {name} in 4 bits", partial(_save, model, folder))
    except (OSError, SafetensorError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        print(f"{again}: it could not be kept ({why})", flush=True)


def _save(model: PreTrainedModel, source: Path, folder: Path) -> None:
    """Save `model` in `folder`, with all that lies beside the weights of `source`."""
    # Saving checks settings for generation, and what authors have set need not pass.
    own = model.generation_config
    model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
    try:
        model.save_pretrained(folder, max_shard_size="1GB")  # each is in memory once more
    finally:
        model.generation_config = own
    (folder / "generation_config.json").unlink(missing_ok=True)
    for file in (found for pattern in BESIDE for found in source.glob(pattern)):
        copy = folder / file.relative_to(source)
        if not copy.exists() and not file.name.endswith(".index.json"):
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(file, copy)
