"""One of our programs on OpenVINO in 32 bits.

    python -m benchmarks.exact app.py [FLAG ...]
    python -m benchmarks.exact chat.backend [FLAG ...]

In fewer bits, greedy replies depend on what else an engine reads and has read.
"""

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from chat.engines.openvino import engine


class ExactEngine(engine.OpenVINOEngine):
    """The engine in 32 bits."""

    def __init__(
        self,
        folder: Path,
        window: int,
        parallel: int | Literal["auto"],
        properties: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        exact = {**(properties or {}), **engine.EXACT}
        super().__init__(folder, window, parallel, exact, **options)


def use() -> None:
    """Have whatever this process loads on OpenVINO be exact."""
    engine.OpenVINOEngine = ExactEngine  # type: ignore[assignment, misc]


def main(program: str, *flags: str) -> None:
    """Run a program in this process, a file or a module."""
    use()
    sys.argv = [program, *flags]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
    else:
        runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
