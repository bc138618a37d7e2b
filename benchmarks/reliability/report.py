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
    held = "; ".join(row.found.broken) or "as promised"
    return f"{row.step.name} ({row.seconds:.0f} s): {_figures(row.found)}: {held}"


def as_json(row: Row) -> dict[str, Any]:
    """Return a row as JSON has it."""
    return {
        "name": row.step.name,
        "share": row.share,
        **row.found._asdict(),
        "seconds": row.seconds,
        "ended": row.ended,
    }


def write(rows: Sequence[Row], machine: Mapping[str, Any]) -> None:
    """Put the rows in their places in docs/RELIABILITY.md; those of other steps stay."""
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    kept, _, after = rest.partition(END)
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^### |\Z)", kept, re.M | re.S))
    for row in rows:
        sections[row.step.name] = _section(row, machine)
    order = [step.name for step in STEPS if step.name in sections]
    body = "".join(f"### {name}\n{sections[name].rstrip()}\n\n" for name in order)
    PAGE.write_text(f"{before}{BEGIN}\n\n{body}{END}{after}", "utf-8")


def _section(row: Row, machine: Mapping[str, Any]) -> str:
    where = ", ".join(f"{name} {value}" for name, value in machine.items())
    day = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(row.ended))
    command = f"python -m benchmarks.reliability --only {row.step.name}"
    if row.share != 1:
        command += f" --share {row.share:g}"
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
