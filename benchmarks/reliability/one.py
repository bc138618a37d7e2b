"""One step in this process: `python -m benchmarks.reliability.one NAME SHARE FILE`."""

import importlib
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.reliability.steps import Found, chosen


def main(name: str, share: float, file: Path) -> None:
    """Run it, and write what it found as JSON."""
    [step] = chosen([name])
    module, _, function = step.does.rpartition(".")
    does: Callable[[float], Found] = getattr(
        importlib.import_module(f"benchmarks.reliability.{module}"), function
    )
    file.write_text(json.dumps(does(share)._asdict()))


if __name__ == "__main__":
    # A job in the background ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(sys.argv[1], float(sys.argv[2]), Path(sys.argv[3]))
