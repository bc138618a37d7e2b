"""What was found, in lines, as JSON, and as docs/RELIABILITY.md.

That file keeps a row for each step, which says when and where it was run last, and how it is run
again; so steps that take hours can be run by themselves.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.reliability.steps import STEPS, Found, Step
from benchmarks.table import show

PAGE = Path(__file__).parents[2] / "docs" / "RELIABILITY.md"
#: What is written stands between these lines of the page; the rest of it is ours.
BEGIN, END = "<!-- what was found -->", "<!-- end of what was found -->"


class Row(NamedTuple):
    """A step and what came of it."""

    step: Step
    #: Of the full numbers.
    share: float
    found: Found
    seconds: float
    #: When it had ended, in seconds since 1970.
    ended: float


def line(row: Row) -> str:
    """Return a row for whoever watches."""
    broken = row.found.broken
    held = " ".join(["**Not kept.**", *broken]) if broken else "As promised."
    figures = row.found.figures.items()
    lines = "\n".join(f"| {name} | {_shown(value)} |" for name, value in figures)
    return (
        f"\n{row.step.promise}\n\n{held}\n\n| figure | |\n|---|---|\n{lines}\n\n"
        f"`{command}`, {row.seconds:.0f} s, {day}; {where}.\n"
    )


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else show(value)


def _figures(found: Found) -> str:
    return json.dumps(found.figures, ensure_ascii=False)[1:-1].replace('"', "")
