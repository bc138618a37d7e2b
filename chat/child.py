"""Modules of ours in processes of their own, and with limits for what others have made."""

import logging
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

#: How variables are called that nobody needs who reads what others have made.
SECRET = re.compile(r"(^|_)(AUTH|KEYS?|PASSWORD|SECRET|TOKEN)(_|$)")


class Exceeded(Exception):
    """A process took more than it may, or died of what it was given; `said` is what it wrote."""

    def __init__(self, said: bytes = b"") -> None:
        super().__init__()
        self.said = said


def start(module: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Run `python -m module arguments`; `options` are subprocess.Popen's.

    It finds what this process finds, whatever the working folder is, but no
    secret in its environment, and Ctrl-C in the terminal is not for it. Where
    nobody reads our log, nor does anyone see what it writes of its errors.
    """
    if not logging.getLogger("chat").isEnabledFor(logging.ERROR):
        options.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(
        _command(module, *arguments),
        env=_environment(),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **options,
    )


def answer(module: str, *arguments: object, given: bytes = b"", seconds: float) -> bytes:
    """Return what such a process writes that reads `given`, and that limits itself by `limit`.

    Raises:
        Exceeded: it is not done after so many seconds, or ends with another status than 0.
    """
    try:
        done = subprocess.run(
            _command(module, *arguments),
            env=_environment(),
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=seconds,
            check=True,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise Exceeded(error.stdout or b"") from None
    return done.stdout


def end_with(parent: int) -> None:
    """End this process once that one has, whatever it was killed by: nobody needs its work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def limit(memory: int, seconds: float = 0, *, writes: bool = False) -> None:
    """Have this process fail once it takes so many bytes more, and die after so much CPU time.

    From then on it writes no files, unless it `writes`.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    # Not of addresses, of which files that are mapped and other threads take many.
    limits = {
        resource.RLIMIT_DATA: pages * resource.getpagesize() + memory,
        resource.RLIMIT_CORE: 0,
    }
    if not writes:
        limits[resource.RLIMIT_FSIZE] = 0
    if seconds:
        limits[resource.RLIMIT_CPU] = int(sum(os.times()[:2]) + seconds) + 1
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))


def _command(module: str, *arguments: object) -> list[str]:
    # -P: else what lies in the working folder, such as a model, would be imported before ours.
    return [sys.executable, "-P", "-m", module, *map(str, arguments)]


def _environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not SECRET.search(name)}
    # Without a name it is the working folder, from which this process was started then.
    return {**known, "PYTHONPATH": os.pathsep.join(one or os.getcwd() for one in sys.path)}
