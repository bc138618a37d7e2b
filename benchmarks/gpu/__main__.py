"""The check of a machine with a GPU: whether replies are right, and how fast they come.

    python -m benchmarks.gpu [--device cpu] [--only a,b] [--budget 480] [--out folder]
                             [--model folder-or-file.gguf]

Makes models with random weights on the spot, one with the shape of Llama-2-7B, and so
needs no network. Prints a JSON object as its last line and keeps it in gpu.json after
each step. What it measures, and how to read it, is in README.md beside this.
"""

import argparse
import importlib.util
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.gpu import plan, runner
from benchmarks.gpu.report import Report

#: Seconds that all steps may take together, unless told otherwise.
BUDGET = 480
#: What has to be there beside torch; without it every step would fail, one after the other.
NEEDS = (
    "accelerate",
    "bitsandbytes",
    "httpcore2",
    "httpx2",
    "huggingface_hub",
    "jinja2",
    "llguidance",
    "psutil",
    "pydantic_settings",
    "safetensors",
    "tokenizers",
    "transformers",
    "truststore",
)
#: Of the seconds, what is kept for the end of the last process.
SPARE = 15


def main(arguments: list[str]) -> int:
    """Run the steps; return 1 if one was wrong or failed."""
    began = time.monotonic()
    chosen = read(arguments)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if chosen.device == "cpu":  # so small a model is slower on several threads
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    signal.signal(signal.SIGTERM, _end)  # so that what was started ends too
    report = Report(chosen.out, settings(chosen))
    with tempfile.TemporaryDirectory(dir=chosen.scratch) as scratch:
        model = str(chosen.model.resolve()) if chosen.model else None
        job = {"device": chosen.device, "scratch": scratch, "model": model}
        runner.run(chosen.steps, report, job, began + chosen.budget - SPARE)
    report.save()
    found = report.found()
    print(json.dumps(found), flush=True)
    return 1 if found["summary"]["wrong"] or found["summary"]["errors"] else 0


def read(arguments: list[str]) -> argparse.Namespace:
    """Return what is to be run; ends with a sentence if that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--device", choices=("cuda", "cpu"), default="cuda", help="cpu takes tiny models")
    add("--only", default="", metavar="a,b", help="these steps alone")
    add("--budget", type=float, default=BUDGET, metavar="SECONDS", help="for all of it")
    add("--out", type=Path, default=Path(), metavar="FOLDER", help="where gpu.json is kept")
    add("--model", type=Path, help="a folder or GGUF file to measure, instead of a random model")
    add("--scratch", type=Path, metavar="FOLDER", help="where models are made; 14 GB for a 7B")
    chosen = parser.parse_args(arguments)
    try:
        chosen.steps = plan.chosen(list(filter(None, chosen.only.split(","))))
    except ValueError as error:
        parser.error(str(error))
    if chosen.model and not chosen.model.exists():
        parser.error("There is no such model; --model is a folder or a GGUF file.")
    if missing := [name for name in NEEDS if not importlib.util.find_spec(name)]:
        parser.error(f"There is no {', '.join(missing)} here; see benchmarks/gpu/README.md.")
    return chosen


def settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for, as the report has it."""
    return {
        "device": chosen.device,
        "budget_s": chosen.budget,
        "model": chosen.model.name if chosen.model else "random",
        "only": chosen.only,
    }


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
