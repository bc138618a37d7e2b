"""Modules of ours in processes of their own."""

import logging
import os
import subprocess
import sys
from typing import Any


def start(module: str, *arguments: object, **options: Any) -> "subprocess.Popen[str]":
    """Run `python -m module arguments`; `options` are subprocess.Popen's.

    It finds what this process finds, whatever the working folder is, and
    Ctrl-C in the terminal is not for it. Where nobody reads our log, nor does anyone see what
    it writes of its errors.
    """
    if not logging.getLogger("chat").isEnabledFor(logging.ERROR):
        options.setdefault("stderr", subprocess.DEVNULL)
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
        **options,
    )
