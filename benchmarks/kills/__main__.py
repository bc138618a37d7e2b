"""What those who chat notice of what dies, is replaced, or is full: Ray Serve, two nodes, here.

    python -m benchmarks.kills [--times 10]

Wants an environment of deploy/requirements.txt. Eight people tell the likeliest stories, in 32
bits, through `--engine server`, Ray's proxy and two replicas of one thread each, while replicas,
their engines' processes and whole nodes are killed in the midst of all replies. Prints tables and,
in the last line, all figures as one JSON object.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import metadata
from statistics import median
from typing import get_args

from benchmarks import machine
from benchmarks.kills import steps
from benchmarks.kills.cluster import Cluster, Victim
from benchmarks.kills.steps import Figures
from benchmarks.server import free_port
from benchmarks.table import show, table

#: Tokens of a reply that takes longer than the 20 seconds that Ray leaves one by itself.
LONGEST = 700
#: Of several kills: what is added up, and what the median and the worst are shown of.
SUMS = ("errors", "same", "on it", "asked again")
SPREADS = ("over the undisturbed gap (s)", "all there again (s)")


def main(arguments: list[str]) -> None:
    """Measure, print tables, and the same as JSON in the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--times", type=int, default=10, help="how often each kind is killed")
    times = parser.parse_args(arguments).times
    # So that Ray is ended too, also where this runs in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.disable(logging.WARNING)  # of what breaks here on purpose
    head = machine.describe() | {"ray": metadata.version("ray")}
    print(", ".join(f"{name} {value}" for name, value in head.items()), flush=True)
    kills, once = asyncio.run(_measure(times))
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\nload at the end {load}\n")
    print(table(("killed", "times", *SUMS, *SPREADS), (_row(*item) for item in kills.items())))
    rows = (
        (step, name, show(value)) for step, found in once.items() for name, value in found.items()
    )
    print("\n" + table(("else", "", ""), rows) + "\n")
    print(json.dumps({"machine": head, "load": load, "kills": kills, "else": once}))


async def _measure(times: int) -> tuple[dict[str, list[Figures]], dict[str, Figures]]:
    kills: dict[str, list[Figures]] = {}
    with Cluster(free_port) as cluster:
        people, unbroken = await steps.start(cluster, LONGEST)
        once = {"undisturbed": {"gap (s)": unbroken.gap, "errors": len(unbroken.errors)}}
        for step in ("turns", "cancel", "full"):
            found = getattr(steps, step)(cluster, people)
            once[step] = await found
            _say(step, once[step])
        for _ in range(times):
            for what in get_args(Victim):
                found = await steps.kill(cluster, people, what, unbroken)
                found["all there again (s)"] = await steps.mend(cluster, what)
                kills.setdefault(what, []).append(found)
                _say(what, found)
        once["redeploy"] = await steps.redeploy(cluster, people, unbroken, LONGEST)
        _say("redeploy", once["redeploy"])
        once["autoscale"] = await steps.autoscale(cluster, people)
    return kills, once


def _row(what: str, found: Sequence[Figures]) -> tuple[str, ...]:
    sums = (f"{sum(one[name] for one in found):.0f}" for name in SUMS)
    spreads = ([one[name] for one in found] for name in SPREADS)
    return what, str(len(found)), *sums, *(f"{median(one):.1f}, {max(one):.1f}" for one in spreads)


def _say(what: str, found: Figures) -> None:
    print(f"... {what}: {found}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
