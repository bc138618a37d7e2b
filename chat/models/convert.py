"""Conversions of GGUF files, made once and kept in the cache."""

import json
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path


def place(gguf: Path, cache: Path, kind: str) -> Path:
    """Return the folder for `gguf` converted to `kind`; another one once the file has changed."""
    state = gguf.stat()
    facts = json.dumps([str(gguf.resolve()), state.st_size, state.st_mtime_ns])
    return cache / f"{gguf.stem}-{kind}-{sha256(facts.encode()).hexdigest()[:12]}"


def once(gguf: Path, cache: Path, kind: str, make: Callable[[Path, Path], None]) -> Path:
    """Return the folder of `place`, which `make(gguf, folder)` fills the first time."""
    target = place(gguf, cache, kind)
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            folder = Path(scratch, "converted")
            folder.mkdir()
            make(gguf, folder)
            folder.replace(target)
    return target
