"""How far work has come that takes a while: a bar in a terminal, and nothing elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

#: Seconds between two looks at what is written.
PAUSE = 0.1


def bar(doing: str, total: int, unit: str) -> Any:
    """Return a bar from 0 to `total`: a context, whose `update` takes how much was done since."""
    from huggingface_hub.utils.tqdm import tqdm  # not before somebody waits for something

    made: Any = tqdm
    # None leaves it out where no terminal is; thousands of bytes have units of their own.
    disable = None if total else True
    return made(total=total, desc=doing, unit=unit, unit_scale=unit == "B", disable=disable)


@contextmanager
def written(folder: Path, total: int, doing: str) -> Iterator[None]:
    """Show how many bytes have been written to a folder, of `total` or so, until the block ends."""
    over = Event()
    with bar(doing, total, "B") as shown:
        watching = Thread(target=_watch, args=(folder, shown, over), daemon=True)
        watching.start()
        try:
            yield
            over.set()
            watching.join()
            shown.update(total - shown.n)
        finally:
            over.set()
            watching.join()


def _watch(folder: Path, shown: Any, over: Event) -> None:
    while not over.wait(PAUSE):
        with suppress(OSError):  # what is written on the way is let go of again
            there = sum(file.lstat().st_size for file in folder.glob("*") if not file.is_symlink())
            shown.update(max(0, min(there, shown.total) - shown.n))
