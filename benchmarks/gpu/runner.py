"""Steps in processes of their own, which may die or hang without harm to those after them.

A CUDA error can leave a process unable to do anything more on the GPU, and only its end
gives back all of the memory.
"""

import json
import subprocess
import time
from collections.abc import Sequence
from itertools import groupby
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from benchmarks import processes
from benchmarks.gpu.plan import Step
from benchmarks.gpu.report import Report
from chat import child

#: Of its own seconds, how many times as long a step may take, and how many seconds more.
PATIENCE, MORE = 3, 60
#: What the line is that a process prints at the end of its output.
ENDED: dict[str, Any] = {}


def run(steps: Sequence[Step], report: Report, job: dict[str, Any], deadline: float) -> None:
    """Run the steps and report what comes of each; at `deadline` (`time.monotonic`) it ends."""
    for _, together in groupby(steps, lambda step: step.process):
        waiting = list(together)
        while waiting and time.monotonic() < deadline:
            done = _in_one_process(waiting, report, job, deadline)
            waiting = waiting[done:]
        for step in waiting:
            report.add(step.name, {"skipped": "no time was left"})


def _in_one_process(
    steps: Sequence[Step], report: Report, job: dict[str, Any], deadline: float
) -> int:
    """Run steps until the last, or until one that ends their process; return how many."""
    task = {**job, "steps": [step.name for step in steps], "found": report.steps}
    task["deadline"] = deadline
    process = child.start("benchmarks.gpu.child", json.dumps(task), stdout=subprocess.PIPE)
    try:
        lines = _lines(process)
        for done, step in enumerate(steps):
            began = time.monotonic()
            limit = PATIENCE * step.seconds + MORE
            try:
                line = lines.get(timeout=max(0, min(limit, deadline - began)))
            except Empty:
                over = f"not done after {time.monotonic() - began:.0f} s"
                report.add(step.name, {"error": f"TimeoutError: {over}"}, time.monotonic() - began)
                return done + 1
            if line is ENDED:
                how = f"its process ended with {process.wait(10)}"
                report.add(step.name, {"error": f"RuntimeError: {how}"}, time.monotonic() - began)
                return done + 1
            report.add(step.name, line["result"], line["seconds"])
            if line["last"]:
                return done + 1
        return len(steps)
    finally:
        if process.poll() is None:
            processes.end(process.pid)
            process.wait()


def _lines(process: "subprocess.Popen[str]") -> "SimpleQueue[dict[str, Any]]":
    """Return what a process prints, as it comes."""
    found: SimpleQueue[dict[str, Any]] = SimpleQueue()

    def read() -> None:
        assert process.stdout
        with process.stdout as lines:
            for line in lines:
                found.put(json.loads(line))
        found.put(ENDED)

    Thread(target=read, daemon=True).start()
    return found
