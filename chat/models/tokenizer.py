"""A model's tokenizer alone: its small files and not its weights, and without torch.

That of a GGUF file is written down as tokenizer.json once, in a process of its own, since what
reads it imports torch. As a program: `python -m chat.models.tokenizer FILE FOLDER`.
"""

import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from transformers import PreTrainedTokenizerFast, logging

from chat import child
from chat.errors import ModelError
from chat.models import convert, embedded, ir, locate
from chat.models.examine import examined
from chat.models.heads import Heads
from chat.models.unusable import no_tokenizer

FILES = (*locate.FILES, "*.jinja")
#: A model of the hub by its name.
HUB_ID = re.compile(r"[a-z0-9][\w.-]*/[a-z0-9][\w.-]*", re.ASCII | re.IGNORECASE)
FILE = "tokenizer.json"
#: What reading that of a GGUF file may take: bytes of memory, and seconds of CPU time.
MEMORY, SECONDS = 8_000_000_000, 600


def named(root: str) -> str:
    """Return the name, as `--model` takes it, of a model that a server calls `root`.

    Raises:
        ModelError: that is none here.
    """
    if root in ("embedded", Path(embedded.MEMBER).stem):
        return "embedded"
    if HUB_ID.fullmatch(root):
        return root
    raise ModelError(
        "The server does not say which model it runs in a way that could be looked up; name it "
        "with --model, for its tokenizer."
    )


def find(name: str, cache: Path) -> Path:
    """Return the folder or GGUF file with the tokenizer of the model called `name`.

    Of a model on the hub only small files are downloaded, and of a GGUF file there its head.

    Raises:
        ModelError: there is no such model, or it cannot be had; says what to do.
    """
    path = Path(os.path.expanduser(name))
    if path.is_dir() and name != "embedded":
        return examined(path, cache)
    repository, _, file = name.partition(":")
    if path.is_file() or not HUB_ID.fullmatch(repository):
        return locate.locate(name, cache, cuda=False)
    if file:
        place = cache / f"{path.stem}-tokenizer-{sha256(name.encode()).hexdigest()[:12]}"
        return convert.once(place, f"reading the tokenizer of {name}", partial(_head, name, cache))
    with locate.from_hub(name):
        folder = Path(
            snapshot_download(
                repository, allow_patterns=[*FILES], ignore_patterns=[f"*/{kind}" for kind in FILES]
            )
        )
    return examined(folder, cache)


def load(source: Path, cache: Path) -> tuple[Any, Path]:
    """Return the tokenizer of a folder or GGUF file, and the folder that it was read from.

    Raises:
        ModelError: it has none, or none that can be read.
    """
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    folder = source if source.is_dir() else _of_gguf(source, cache)
    if not (folder / FILE).is_file():
        raise ModelError(f"This model has no {FILE}, which Fourbit Chat needs.")
    try:
        # Not AutoTokenizer, which imports torch; this class reads tokenizer.json too.
        return PreTrainedTokenizerFast.from_pretrained(folder), folder
    except Exception as error:
        raise no_tokenizer(error) from None


def _of_gguf(source: Path, cache: Path) -> Path:
    """Return a folder with the tokenizer of a GGUF file, made the first time."""
    converted = ir.place(source, cache)
    if convert.whole(converted):
        return converted
    doing = f"reading the tokenizer of {source.name}"
    return convert.once(convert.place(source, cache, "tokenizer"), doing, partial(_written, source))


def _written(source: Path, folder: Path) -> None:
    process = child.start("chat.models.tokenizer", source, folder, stderr=subprocess.DEVNULL)
    try:
        failed = process.wait()
    finally:
        process.kill()
    if failed or not (folder / FILE).is_file():
        raise ModelError(f"{source.name} has no tokenizer that can be read.")


def _head(name: str, cache: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        _written(locate.locate(name, cache, cuda=False, heads=Heads(Path(scratch))), folder)


def _write(file: Path, folder: Path) -> None:
    from chat.models import gguf_tokenizer  # which imports torch

    child.limit(MEMORY, SECONDS, writes=True)
    gguf_tokenizer.load(file).save_pretrained(folder)


if __name__ == "__main__":
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
