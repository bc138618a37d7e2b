"""Thousands of them, each of which is to end in time, in a sentence."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.reliability.hostile.cases import MAKERS, Case, cases
from benchmarks.reliability.steps import Found

#: Cases at full numbers, of all kinds together.
COUNT = 7_000


class Looked(NamedTuple):
    """What came of it."""

    case: Case
    seconds: float
    bytes: int
    #: The last line that was said.
    sentence: str
    #: What was not as it has to be, or "".
    broken: str


def run(share: float) -> Found:
    """Look at a share of the cases.

    `figures` are, of each kind, the cases, the longest time, and the most memory of a process.
    """
    count = max(len(MAKERS), round(COUNT * share))
    with tempfile.TemporaryDirectory() as scratch:
        found = list(look(cases(1, count, Path(scratch, "cases")), Path(scratch, "cache")))
    figures: dict[str, float | str] = {}
    for kind in MAKERS:
        of_kind = [one for one in found if one.case.kind == kind]
        longest = max(one.seconds for one in of_kind)
        most = max(one.bytes for one in of_kind) / 1e6
        figures[kind] = f"{len(of_kind)} cases, {longest:.1f} s and {most:.0f} MB at the most"
    figures["sentences"] = len({one.sentence for one in found})
    broken = [(one.case, one.broken or "no sentence" * (not one.sentence)) for one in found]
    return Found(figures, [f"{case}: {what}" for case, what in broken if what])


def look(given: Iterator[Case], cache: Path) -> Iterator[Looked]:
    """Have a process look at each case, and yield what came of it."""
    cache.mkdir(parents=True)
    command = [sys.executable, "-m", "benchmarks.reliability.hostile.looking", str(cache)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as looking:
        assert looking.stdin
        assert looking.stdout
        for case in given:
            looking.stdin.write(json.dumps(case) + "\n")
            looking.stdin.flush()
            yield Looked(case, *json.loads(looking.stdout.readline()))
        looking.stdin.close()
