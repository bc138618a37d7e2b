"""A GGUF file as everything reads it: whole, and with an ending in small letters.

A large one is often split (`name-00001-of-00003.gguf`, as llama.cpp's llama-gguf-split
names its parts). transformers would read the first part and make up the other
weights, so that the parts are joined once, in the cache.
"""

import os
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from chat.errors import ModelError
from chat.models import config, convert, gguf_header
from chat.models.memory import require
from chat.models.unusable import damaged, unusable

PART = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.gguf)", re.IGNORECASE)
SPLIT = "split."
NO_GGUF = "is not a GGUF file, or it is damaged or cut off"
LAYER = re.compile(r"(?:^|\.)blk\.(\d+)\.")


def parts(name: str) -> list[str]:
    """Return the names of all parts of the file whose first part is `name`, or that alone.

    Raises:
        ModelError: it is a later part; names the first.
    """
    match = PART.fullmatch(name)
    if not match or not int(match[3]):
        return [name]
    stem, number, count, ending = match.groups()
    names = [f"{stem}-{part:05}-of-{count}{ending}" for part in range(1, int(count) + 1)]
    if int(number) != 1:
        raise ModelError(f"{name} is a later part of a model; name its first part, {names[0]}.")
    return names


def title(name: str) -> str:
    """Return what the model in a GGUF file of this name is called."""
    match = PART.fullmatch(name)
    return match[1] if match else re.sub(r"\.gguf$", "", name, flags=re.IGNORECASE)


def whole(first: Path, cache: Path, heads: Path | None = None) -> Path:
    """Return the GGUF file whose first part is `first`: itself, or one in the cache.

    With a folder for `heads` it is one there, with holes for weights, unless it is in the cache.

    Raises:
        ModelError: it is a later part, or another one is missing or damaged.
    """
    files = [first.with_name(name) for name in parts(first.name)]
    for file in files:
        if not file.is_file():
            raise ModelError(
                f"{file.name} is missing: this model has {len(files)} parts, which have to lie "
                "side by side."
            )
    if len(files) == 1 and first.suffix == ".gguf":
        return first
    doing = f"joining the parts of {first.name}"
    target = convert.place(first, cache, "whole", *files[1:])
    if heads and not convert.whole(target):
        target = heads / target.name
    folder = convert.once(target, doing, partial(_join, files, heads=bool(heads)))
    return folder / f"{title(first.name)}.gguf"


def reader(file: Path) -> Any:
    """Return a `gguf.GGUFReader` of a file.

    Raises:
        ModelError: it is no GGUF file, or damaged.
    """
    from gguf import GGUFReader

    if fault := gguf_header.looked_at(file):
        raise damaged(file, fault)
    try:
        return GGUFReader(file)
    except Exception:  # whatever the bytes led it to
        raise damaged(file, NO_GGUF) from None


def require_whole(name: str, reader: Any) -> None:
    """Raise ModelError unless a file has all of a model by what is in it, whatever its name.

    It looks for layers; what belongs to each differs from one architecture to another.
    """
    count = reader.fields.get(f"{SPLIT}count")
    total = count.contents() if count else None
    if isinstance(total, int) and total > 1:
        raise ModelError(
            f"{name} is one of {total} parts of a model, but is not named as they are: "
            f"{title(name)}-00001-of-{total:05}.gguf is the first."
        )
    if "general.architecture" not in reader.fields:
        raise unusable(f"{name} {NO_GGUF}")
    layers = _field(reader, "block_count")
    if layers is None:
        return
    # The last ones draft several tokens at a time, and are often left out.
    drafting = _field(reader, "nextn_predict_layers") or 0
    if max(layers, abs(drafting)) > config.MOST:
        raise unusable(f"{name} has {max(layers, abs(drafting)):.3g} layers by its description")
    found = {int(match[1]) for tensor in reader.tensors if (match := LAYER.search(tensor.name))}
    needed = range(layers - drafting)
    if missing := len(needed) - sum(layer in needed for layer in found):
        raise unusable(f"{name} is incomplete, without {missing} of its {layers} layers")
    if found and max(found) >= layers:
        raise unusable(f"{name} has {max(found) + 1} layers, and {layers} by its description")


def require_alike(name: str, reader: Any) -> None:
    """Raise ModelError unless each layer has what the others have, for models that are so."""
    layers: dict[str, set[str]] = {}
    others = {"token_embd.weight", "output_norm.weight"}
    for tensor in reader.tensors:
        others.discard(tensor.name)
        if match := LAYER.search(tensor.name):
            layers.setdefault(match[1], set()).add(tensor.name[match.end() :])
    every = set().union(*layers.values())
    missing = [
        f"blk.{number}.{rest}" for number, has in layers.items() for rest in every - has
    ] + list(others)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise unusable(f"{name} is incomplete, without {min(missing)}{more}")


def _field(reader: Any, key: str) -> int | None:
    """Return a number that the file has for its architecture."""
    architecture = reader.fields["general.architecture"].contents()
    field = reader.fields.get(f"{architecture}.{key}")
    value = field.contents() if field else None
    return value if isinstance(value, int) else None


def _join(files: list[Path], folder: Path, *, heads: bool) -> None:
    folder.mkdir()
    target = folder / f"{title(files[0].name)}.gguf"
    if len(files) == 1:
        convert.link(files[0], target)
        return
    size = sum(file.stat().st_size for file in files)
    if not heads:
        require(size, shutil.disk_usage(folder).free, "disk space")
        print(f"Joining the {len(files)} parts of {target.name}, once", flush=True)
    try:
        _write(files, target, heads=heads)
    except OSError as error:
        raise ModelError(
            f"The parts of {target.name} cannot be joined ({error.strerror})."
        ) from None
    except Exception:  # whatever the bytes led to
        raise ModelError(
            f"The parts of {target.name} do not belong together, or are damaged."
        ) from None


def _write(files: list[Path], target: Path, *, heads: bool) -> None:
    from gguf import GGUFReader, GGUFValueType, GGUFWriter

    if any(map(gguf_header.looked_at, files)):
        raise ValueError
    readers = [GGUFReader(file) for file in files]
    fields = readers[0].fields
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    for number, reader in enumerate(readers):
        if reader.fields[f"{SPLIT}no"].contents() != number:
            raise ValueError
    if fields[f"{SPLIT}tensors.count"].contents() != len(tensors):
        raise ValueError
    architecture = "general.architecture"
    writer = GGUFWriter(target, fields[architecture].contents(), endianess=readers[0].endianess)
    writer.data_alignment = readers[0].alignment
    for field in fields.values():
        if field.name.startswith(("GGUF.", SPLIT)) or field.name == architecture or not field.data:
            continue
        kind, *inner = field.types
        is_array = kind == GGUFValueType.ARRAY
        writer.add_key_value(field.name, field.contents(), kind, inner[-1] if is_array else None)
    for tensor in tensors:
        data = tensor.data
        writer.add_tensor_info(tensor.name, data.shape, data.dtype, data.nbytes, tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in () if heads else tensors:
        writer.write_tensor_data(tensor.data)
    writer.close()
    if heads:
        os.truncate(target, target.stat().st_size + sum(file.stat().st_size for file in files))
