"""Modules of this package that run in a process of their own and answer with JSON."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks import processes
from benchmarks.server import ROOT

#: Seconds for one of them.
LONGEST = 3600


def start(module: str, job: Any, flags: Sequence[str] = ()) -> Any:
    """Run `python -m benchmarks.<module> JOB [flags]` and return what its last line says.

    Raises:
        RuntimeError: it failed; says how.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", json.dumps(job), *flags],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        printed, errors = process.communicate(timeout=LONGEST)
    except BaseException:
        processes.end(process.pid)
        raise
    if process.returncode:
        raise RuntimeError(f"benchmarks.{module} failed:\n{(printed + errors)[-2000:]}")
    return json.loads(printed.splitlines()[-1])
