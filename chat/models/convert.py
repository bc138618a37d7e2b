"""What is fetched or converted once and kept in the cache, however many start at the same time."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from zlib import crc32

from filelock import FileLock, Timeout

#: What a folder has beside what was made: the size of each file, and a checksum.
SUMS = "sums.json"
#: The checksum is of so many parts of a file at the most, each of so many bytes: of all of it up
#: to 256 MB. To read all of larger ones would take as long as to load them.
PARTS, PART = 1024, 1 << 18


#: A folder with chat templates by their names.
TEMPLATES = "additional_chat_templates"


def title(source: Path) -> str:
    """Return what a file or folder may be called, without its path or the hub's revision."""
    snapshot = source.parent.name == "snapshots"
    return source.parents[1].name.rpartition("--")[2] if snapshot else source.name


def place(source: Path, cache: Path, kind: str, *others: Path) -> Path:
    """Return the folder for a file or folder converted to `kind`; another once it has changed.

    And once one of the `others` has, that go into it too.
    """
    name = title(source) if source.is_dir() else source.stem
    facts: list[str | int] = [str(source.resolve())]
    # The files of a folder may be links, which stay as they are when those change.
    files = [*source.iterdir(), *source.glob(f"{TEMPLATES}/*")] if source.is_dir() else [source]
    for file in [*sorted(files), *others]:
        if file.is_file():
            state = file.stat()
            facts += [state.st_size, state.st_mtime_ns]
    return cache / f"{name}-{kind}-{sha256(json.dumps(facts).encode()).hexdigest()[:12]}"


def once(target: Path, doing: str, make: Callable[[Path], None]) -> Path:
    """Return `target`, the file or folder that `make(elsewhere)` makes the first time.

    A folder that has been damaged since is made anew. A process that wants the same meanwhile
    waits for it, and says what this one is `doing`.
    """
    if not whole(target):
        with alone(target, doing):
            if not whole(target):  # another process may have made it just now
                if target.exists():
                    print(
                        f"{target.name} in the cache is damaged or older, and made anew", flush=True
                    )
                    shutil.rmtree(target)
                scratch = target.with_name(f"{target.name}.making")
                shutil.rmtree(scratch, ignore_errors=True)  # of one that was killed
                scratch.mkdir()
                try:
                    made = scratch / target.name
                    make(made)
                    if made.is_dir():
                        (made / SUMS).write_text(json.dumps(_sums(made)))
                    made.replace(target)
                finally:
                    shutil.rmtree(scratch, ignore_errors=True)
    return target


def whole(target: Path) -> bool:
    """Whether `target` is there; of a folder also whether its files are as they were made."""
    if not target.is_dir():
        return target.exists()
    try:
        found: bool = json.loads((target / SUMS).read_text()) == _sums(target)
    except (OSError, ValueError, RecursionError):
        return False
    return found


def link(file: Path, target: Path) -> None:
    """Have `target` be `file`: a link, or a copy on a disk that has no links, such as exFAT."""
    try:
        target.symlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, target)


def _sums(folder: Path) -> dict[str, list[int]]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != SUMS)
    return {str(file.relative_to(folder)): _sum(file) for file in files}


def _sum(file: Path) -> list[int]:
    size, found = file.stat().st_size, 0
    with file.open("rb") as opened:
        for place in range(0, size, max(PART, -(-size // PARTS))):
            opened.seek(place)
            found = crc32(opened.read(PART), found)
    return [size, found]


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
