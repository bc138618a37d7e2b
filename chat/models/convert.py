"""What is fetched or converted once and kept in the cache, however many start at the same time."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from filelock import FileLock, Timeout


def title(source: Path) -> str:
    """Return what a file or folder may be called, without its path or the hub's revision."""
    snapshot = source.parent.name == "snapshots"
    return source.parents[1].name.rpartition("--")[2] if snapshot else source.name


def place(source: Path, cache: Path, kind: str) -> Path:
    """Return the folder for a file or folder converted to `kind`; another once it has changed."""
    name = title(source) if source.is_dir() else source.stem
    facts: list[str | int] = [str(source.resolve())]
    # The files of a folder may be links, which stay as they are when those change.
    for file in sorted(source.iterdir()) if source.is_dir() else [source]:
        if file.is_file():
            state = file.stat()
            facts += [state.st_size, state.st_mtime_ns]
    return cache / f"{name}-{kind}-{sha256(json.dumps(facts).encode()).hexdigest()[:12]}"


def once(target: Path, doing: str, make: Callable[[Path], None]) -> Path:
    """Return `target`, the file or folder that `make(elsewhere)` makes the first time.

    A process that wants the same meanwhile waits for it, and says what this one is `doing`.
    """
    if not target.exists():
        with alone(target, doing):
            if not target.exists():  # another process may have made it just now
                with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
                    made = Path(scratch, target.name)
                    make(made)
                    made.replace(target)
    return target


@contextmanager
def alone(target: Path, doing: str) -> Iterator[None]:
    """Let one process at a time in; the operating system lets go for one that dies."""
    lock = FileLock(target.with_name(f"{target.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another start of the app, which is {doing}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        # While it is held: whoever waits for a file that is gone takes a new one.
        with suppress(OSError):
            Path(lock.lock_file).unlink()
        lock.release()
