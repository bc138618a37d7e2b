"""What people notice of load, faults and hostile input, at full numbers: hours.

    python -m benchmarks.reliability [--quick] [--only STEP ...] [--write]

Each step is a process of its own and one row of docs/RELIABILITY.md, which `--write` makes anew
for the steps that were run. Prints the same as JSON in the last line, and ends with 1 if
anything was not as promised.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from benchmarks import machine
from benchmarks.reliability import report
from benchmarks.reliability.steps import STEPS, Found, Step, chosen

#: The share of the full numbers that `--quick` tries.
QUICK = 0.02
#: Seconds that any step has, also on a busy machine.
LEAST_SECONDS = 240


def main(arguments: list[str]) -> None:
    """Run the steps, say what came of each, and end with 1 if anything was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help=f"{QUICK:.0%}% of the numbers")
    parser.add_argument("--share", type=float, default=1.0, help="the share of the full numbers")
    parser.add_argument("--only", nargs="*", default=[], metavar="STEP", help=_names())
    parser.add_argument("--write", action="store_true", help="write docs/RELIABILITY.md")
    flags = parser.parse_args(arguments)
    try:
        steps = chosen(flags.only)
    except ValueError as error:
        parser.error(str(error))
    share = QUICK if flags.quick else flags.share
    rows = []
    for step in steps:
        began = time.monotonic()
        found = run(step, share)
        rows.append(report.Row(step, share, found, time.monotonic() - began, time.time()))
        print(report.line(rows[-1]), flush=True)
    head = machine.describe()
    if flags.write:
        report.write(rows, head)
    print(json.dumps({"machine": head, "steps": [report.as_json(row) for row in rows]}))
    if any(row.found.broken for row in rows):
        sys.exit(1)


def run(step: Step, share: float) -> Found:
    """Run a step in a process of its own; one that ends badly, or not in time, is broken too."""
    seconds = max(LEAST_SECONDS, step.seconds * share)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "found.json")
        command = [sys.executable, "-m", "benchmarks.reliability.one", step.name, str(share)]
        child = subprocess.Popen([*command, str(file)], start_new_session=True)
        try:
            code = child.wait(seconds)
        except subprocess.TimeoutExpired:
            return Found({}, [f"It had not ended after {seconds:.0f} s."])
        finally:
            with suppress(ProcessLookupError):  # with all that it has started
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if code or not file.exists():
            return Found({}, [f"It ended with status {code}."])
        return Found(**json.loads(file.read_text()))


def _names() -> str:
    return ", ".join(step.name for step in STEPS) or "all"


if __name__ == "__main__":
    main(sys.argv[1:])
