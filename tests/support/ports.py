"""Ports to serve at, each given out once.

One that the system calls free may be taken a moment later: by another worker, or as the near end
of any connection. So these lie below the ones that it gives out by itself, and each process has
blocks of its own, which it claims by a name that only one can have.
"""

import socket
import subprocess
import time
from collections.abc import Iterator

FIRST, LAST, BLOCK = 10_000, 32_767, 100


def free_port() -> int:
    """Return a port that nobody listens on, and that no other test is given."""
    return next(_ports)


def wait_until_open(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a process listens there, which has to live."""
    while process.poll() is None:
        with socket.socket() as trying:
            if trying.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("it has ended")


def _each() -> Iterator[int]:
    claims = []
    for first in range(FIRST, LAST - BLOCK, BLOCK):
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0fourbit-chat-tests-{first}")  # until this process ends
        except OSError:
            claim.close()
            continue
        claims.append(claim)
        yield from filter(_is_free, range(first, first + BLOCK))
    raise AssertionError("no port is left")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


_ports = _each()
