"""What a process and all its children use: CPU time and memory."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import psutil

MB = 1_000_000


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and its children, and theirs."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    return []


def listening(url: str) -> int:
    """Return the process of this machine that serves an address; 0 if none is seen to."""
    address = urlsplit(url)
    if not _ours(address.hostname or ""):
        return 0
    port = address.port or (443 if address.scheme == "https" else 80)
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid:
            return int(one.pid)
    return 0


def _ours(host: str) -> bool:
    """Whether a name is one of this machine's."""
    own = {one.address for found in psutil.net_if_addrs().values() for one in found}
    try:
        named = {str(one[4][0]) for one in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return any(one in own or ip_address(one).is_loopback for one in named)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process tree has used until now."""
    total = 0.0
    for process in tree(pid):
        with suppress(psutil.NoSuchProcess):
            used = process.cpu_times()
            total += used.user + used.system
    return total


def machine_cpu_seconds() -> float:
    """Return the CPU time that all processes of this machine have used, and what it was denied."""
    used = psutil.cpu_times()
    return float(used.user + used.nice + used.system + used.irq + used.softirq + used.steal)


def peak_rss(pid: int) -> float:
    """Return the sum of the processes' peaks, in MB; pages that they share count for each.

    The kernel keeps each process's peak, so that nothing has to be sampled
    while the server is measured.
    """
    return sum(_kilobytes(pid, "status", "VmHWM:")) * 1024 / MB


def pss(pid: int) -> float:
    """Return the memory of the process tree, in MB; pages that are shared count once."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss:")) * 1024 / MB


def _kilobytes(pid: int, file: str, name: str) -> Iterator[int]:
    for process in tree(pid):
        with suppress(OSError, IndexError):
            text = Path(f"/proc/{process.pid}/{file}").read_text()
            yield int(text.split(name)[1].split()[0])


def end(pid: int, patience: float = 10) -> None:
    """End a process tree: its first process is asked to; by force after some seconds."""
    processes = tree(pid)
    for process in processes[:1]:
        process.terminate()
    _, left = psutil.wait_procs(processes, timeout=patience)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
