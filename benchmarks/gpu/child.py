"""The process that steps run in.

    python -m benchmarks.gpu.child JOB

A job is a JSON object. Prints a line of JSON after each step, and nothing else there:
whatever a library prints goes to standard error, as tracebacks do.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.gpu.bench import Bench, Skipped
from benchmarks.gpu.plan import STEPS, Step
from benchmarks.gpu.report import Result

#: The longest line that an error gets.
LONGEST = 300


def main() -> None:
    """Run the steps of a job."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.loads(sys.argv[1])
    steps = [step for step in STEPS if step.name in job["steps"]]
    model = Path(job["model"]) if job["model"] else None

    def tell(result: Result, seconds: float = 0.0, *, last: bool = False) -> None:
        answer = {"result": result, "seconds": seconds, "last": last}
        print(json.dumps(answer), file=answers, flush=True)

    try:
        bench = Bench(job["device"], Path(job["scratch"]), model, job["found"])
    except RuntimeError as error:
        for _ in steps:
            tell({"error": line(error)})
        return
    for step in steps:
        began = time.monotonic()
        result = attempt(step, bench, job["deadline"] - began)
        lost = bench.lost()
        tell(result, time.monotonic() - began, last=lost)
        if lost:
            return
    bench.close()


def attempt(step: Step, bench: Bench, left: float) -> Result:
    """Run one step, if the seconds that are left suffice, and return what came of it."""
    if bench.cuda and left < step.seconds:
        return {"skipped": f"{max(0, left):.0f} s left, {step.seconds} needed"}
    print(f"... {step.name}", file=sys.stderr, flush=True)
    module, _, function = step.does.partition(".")
    result: dict[str, Any]
    try:
        does = getattr(importlib.import_module(f"benchmarks.gpu.{module}"), function)
        result = does(bench, *step.arguments)
    except Skipped as reason:
        result = {"skipped": str(reason)}
    except Exception as error:
        traceback.print_exc()
        result = {"error": line(error)}
    bench.found[step.name] = result
    gc.collect()
    bench.empty()
    return result


def line(error: Exception) -> str:
    """Return the type and the message of an error as one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]


if __name__ == "__main__":
    main()
