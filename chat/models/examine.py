"""A model's or an adapter's files, read once in a process with limits before they are read here.

They come from anyone. Headers, JSON and a tokenizer are small, and can be made to take all memory
or all time there is, or to end whoever reads them; then it is that process, and a sentence says
which file it was. As a program: `python -m chat.models.examine FOLDER`.
"""

import json
import sys
import xml.etree.ElementTree as xml
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub.constants import HF_HUB_CACHE

from chat import child
from chat.errors import ModelError
from chat.models import config, convert
from chat.models.unusable import told_by_system, unusable

#: What the process may take: bytes of memory, seconds of CPU time, and seconds on a busy machine.
MEMORY, SECONDS, PATIENCE = 3_000_000_000, 60, 300
#: What is read of a folder, and how many bytes of it at the most; weights may have any size.
MOST = {
    "*.json": 300_000_000,
    "*.xml": 300_000_000,
    "*.txt": 300_000_000,
    "*.model": 300_000_000,
    "*.jinja": 1_000_000,
    f"{convert.TEMPLATES}/*.jinja": 1_000_000,
    **dict.fromkeys(("*.safetensors", "*.bin", "*.gguf"), 1 << 62),
}
#: Tokens that a tokenizer may have besides its vocabulary.
ADDED = 300_000
#: Special ones, of which each is looked for among the others.
SPECIAL = 10_000
#: Texts that it has to be done with in time.
LETTERS = ("a", " ", "\n", "1", "ab ", "é", "!?", "aA", "\u4e00", "<|", "- ")
LENGTH = 10_000


def examined(folder: Path, cache: Path | None = None) -> Path:
    """Return a folder whose files can be read here without harm.

    With a `cache` it is kept there that they can, until they change.

    Raises:
        ModelError: they cannot; says which of them.
    """
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        place = convert.place(folder, cache, "examined")
        convert.once(place, f"reading {convert.title(folder)}", partial(_examined, folder))
    else:
        _examine(folder)
    return folder


def _examined(folder: Path, target: Path) -> None:
    _examine(folder)
    target.touch()


def _examine(folder: Path) -> None:
    try:
        said = child.answer(__name__, folder.absolute(), MEMORY, seconds=PATIENCE).decode()
    except child.Exceeded as error:
        name = error.said.decode().rpartition("\n")[2] or "its files"
        raise unusable(f"{name} takes too much time or memory to be read") from None
    if fault := said.rpartition("\n")[2]:
        raise ModelError(fault)


def _look(folder: Path) -> None:
    """Raise ModelError for what is wrong with a folder."""
    read: dict[str, Any] = {}
    for file in _files(folder):
        if file.suffix == ".json":
            _doing(file.name)
            read[file.name] = _json(file)
        elif file.suffix == ".xml":
            _doing(file.name)
            with suppress(xml.ParseError):  # which OpenVINO says too
                xml.parse(file)
    if fault := config.oversized(read.get("config.json") or {}):
        raise unusable(f"its config.json has {fault}")
    _doing("a file of weights")
    weights = {}
    with suppress(ModelError):  # of which it is said later what is wrong
        from chat.models import tensors

        weights = tensors.tensors(folder)
    _require_layers(weights, read.get("config.json"))
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        _require_added(read.get(name), "added_tokens_decoder")
        for key in ("extra_special_tokens", "additional_special_tokens"):
            _require_added(read.get(name), key, SPECIAL)
    _require_added(read, "added_tokens.json")
    told = read.get("tokenizer_config.json")
    if isinstance(told, dict) and told.get("fast_tokenizer_files"):
        raise unusable("its tokenizer_config.json names other tokenizers than tokenizer.json")
    if (folder / "tokenizer.json").is_file():
        _require_added(read["tokenizer.json"], "added_tokens")
        _doing("tokenizer.json")
        _tokenize(folder / "tokenizer.json")


def _files(folder: Path) -> Iterator[Path]:
    """Yield what is read of a folder; raise ModelError for what may not be."""
    roots = [folder.resolve(), Path(HF_HUB_CACHE).resolve()]
    if folder.parent.name == "snapshots":  # a hub's cache, whose links lead to its blobs
        roots.append(folder.resolve().parents[1])
    for pattern, most in MOST.items():
        for file in sorted(folder.glob(pattern)):
            try:
                target = file.resolve()
            except (OSError, RuntimeError):  # links in a circle
                target = Path("/")
            if not any(target.is_relative_to(root) for root in roots):
                raise unusable(f"{file.name} is a link out of its folder")
            if file.exists() and not file.is_dir():
                if not file.is_file():
                    raise unusable(f"{file.name} is no file")
                if file.stat().st_size > most:
                    raise unusable(f"{file.name} is larger than any of its kind")
                yield file


def _json(file: Path) -> Any:
    """Return what is JSON in a file, or None; raise ModelError for what nobody may read."""
    try:
        return json.loads(file.read_text("utf-8"))
    except RecursionError:
        raise unusable(f"{file.name} is nested too deeply") from None
    except (OSError, ValueError):  # which some do without, and others say
        return None


def _require_layers(weights: Mapping[str, Any], settings: Any) -> None:
    """Raise ModelError if a config.json has more layers than there are tensors."""
    layers = settings.get("num_hidden_layers") if isinstance(settings, dict) else None
    if weights and type(layers) is int and layers > len(weights):
        raise unusable(f"it is incomplete: it has {layers:,} layers in {len(weights):,} tensors")


def _require_added(settings: Any, key: str, most: int = ADDED) -> None:
    added = settings.get(key) if isinstance(settings, dict) else None
    if isinstance(added, list | dict) and len(added) > most:
        raise unusable(f"its tokenizer has {len(added):,} tokens besides its vocabulary")


def _tokenize(file: Path) -> None:
    """Have a tokenizer encode texts; raise ModelError if it dies of one."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception:  # which is said later
        return
    except BaseException:
        raise unusable(f"{file.name} is damaged") from None
    for letters in LETTERS:
        try:
            ids = tokenizer.encode(letters * (LENGTH // len(letters)), add_special_tokens=False).ids
            tokenizer.decode(ids)
        except BaseException:  # a panic in Rust is no Exception
            raise unusable("its tokenizer fails on some texts") from None


def _doing(name: str) -> None:
    print(f"\n{name}", end="", flush=True)


def main(folder: str, memory: str) -> None:
    """Look at what is there, say at what, and at last what is wrong with it."""
    child.limit(int(memory), SECONDS)
    fault = ""
    try:
        with told_by_system():
            _look(Path(folder))
    except ModelError as error:
        fault = str(error)
    _doing(fault)


if __name__ == "__main__":
    main(*sys.argv[1:])
