"""A real HAProxy with deploy/haproxy.cfg, in which only addresses are others.

Where there is none, importing this skips the tests with that reason.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.ports import free_port, wait_until_open

ROOT = Path(__file__).parent.parent.parent
CONFIGURATION = ROOT / "deploy/haproxy.cfg"

HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
if not HAPROXY:
    pytest.skip("no haproxy: it is neither on the PATH nor in /usr/sbin", allow_module_level=True)


@contextmanager
def haproxy(
    folder: Path, pages: Sequence[str] = (), backends: Sequence[str] = ()
) -> Iterator[tuple[str, str]]:
    """Run it before pages and backends; gives its addresses for both."""
    text = CONFIGURATION.read_text()
    ports = {"7860": free_port(), "8000": free_port()}
    for named, port in ports.items():
        text = text.replace(f"bind :{named}", f"bind 127.0.0.1:{port}")
    for name, port, urls in (("page", "7860", pages), ("backend", "8000", backends)):
        for number in (1, 2):
            there = urlsplit(urls[number - 1]).netloc if urls else f"127.0.0.1:{free_port()}"
            text = text.replace(f" {name}{number}:{port}", f" {there}")
    file = folder / "haproxy.cfg"
    file.write_text(text)
    process = subprocess.Popen([str(HAPROXY), "-db", "-f", str(file)], stdout=subprocess.DEVNULL)
    try:
        for port in ports.values():
            wait_until_open(port, process)
        yield tuple(f"http://127.0.0.1:{port}/" for port in ports.values())
    finally:
        process.terminate()
        process.wait(timeout=10)
