"""What of the machine this process may take, which in a container is less than there is.

A container, a Space and a service of systemd have control groups, whose limits the numbers of the
whole machine do not show: who plans by those is killed, or computes with many threads on few cores.
Source: the Linux kernel's documentation, admin-guide/cgroup-v2 and cgroup-v1.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

#: Where the groups are, and which of them this process is in.
GROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
#: The files for a limit of the memory, and for what is taken of it, and what a name begins with
#: by which the system tells what it can let go of: of version 2, and of version 1.
MEMORY = (
    ("memory.max", "memory.current", ""),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
)
#: That is of files that have been read, once or more often.
READ = ("inactive_file", "active_file")


def free_memory() -> int:
    """Return the bytes of memory that this process can still take."""
    free: int = psutil.virtual_memory().available
    for group in _groups("memory"):
        for limit, taken, begins in MEMORY:
            with suppress(OSError, ValueError):  # there is none
                files = dict(line.split() for line in _lines(group / "memory.stat"))
                read = sum(int(files.get(begins + name, 0)) for name in READ)
                left = _number(group / limit) - _number(group / taken) + read
                free = min(free, max(0, left))
    return free


def cores() -> int:
    """Return how many cores this process may use."""
    return quota() or _cores()


def quota() -> int | None:
    """Return the same where it has less of their time than the cores that it may run on have."""
    shares = [share for group in _groups("cpu") for share in _shares(group)]
    whole = max(1, math.ceil(min(shares, default=math.inf))) if shares else _cores()
    return whole if whole < _cores() else None


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _shares(group: Path) -> Iterator[float]:
    """Yield the time that a group gets in each time that passes, if it is limited."""
    with suppress(OSError, ValueError):
        time, period = (group / "cpu.max").read_text().split()
        yield int(time) / int(period)
    with suppress(OSError, ValueError):
        if (time_us := _number(group / "cpu.cfs_quota_us")) > 0:
            yield time_us / _number(group / "cpu.cfs_period_us")


def _groups(controller: str) -> Iterator[Path]:
    """Yield the group of this process that has a say in something, and those around it."""
    for line in _lines(OWN):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        top = GROUPS / controllers  # nothing with version 2, which has one for all
        if not top.exists():  # where two are together, some systems name them the other way round
            top = GROUPS / controller
        # In a container the path may be one outside of it, where its own group is the topmost.
        inner = top / path.strip("/") if ".." not in path else top
        yield inner
        yield from (one for one in inner.parents if one.is_relative_to(top))


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []


def _number(file: Path) -> int:
    return int(file.read_text())
