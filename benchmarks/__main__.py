"""How fast the app is, as those who use it see it, and beside a plain design.

    python -m benchmarks [--baseline] [--against URL] [--quick] [options] [-- flags of the app]

Starts `python app.py` as a user would and drives its page over HTTP from a
process of its own, which behaves as a browser does. Prints tables and, in the
last line, all figures as one JSON object. With --against the app's API is measured too, beside
that server's, which is to have the same model. All are asked for replies of --tokens tokens,
drawn in the same way (benchmarks/drawn.py), whatever the flags say; where a server does not know
how to, they may end earlier, and all rates count the tokens that came.

Keys of APIs come from the environment: the app's from OPENAI_API_KEY, the other server's from
AGAINST_API_KEY, or else from OPENAI_API_KEY too.
"""

import argparse
import json
import signal
import sys
from dataclasses import asdict, replace
from typing import Any, NoReturn

from benchmarks import api, figures, machine, run, table
from benchmarks.client import ReplyError
from benchmarks.figures import Figures
from benchmarks.scenarios import QUICK, Size

AGAINST = "an OpenAI-compatible server too, at this address; without a path it is at /v1"


def main(arguments: list[str]) -> None:
    """Measure, print tables, and the same as JSON in the last line."""
    plan, repeat = read(arguments)
    signal.signal(signal.SIGTERM, _end)  # so that the servers are ended too
    head = machine.describe()
    print(", ".join(f"{name} {value}" for name, value in head.items()))
    print("app flags:", " ".join(plan.flags) or "none", flush=True)
    try:
        plan = run.meet(plan)
        if plan.other:
            without = ", ".join(plan.other["without"]) or "nothing"
            print(f"against: model {plan.other['model']}; it refuses {without}", flush=True)
        if not plan.quick:
            _say("first starts, which may fetch and convert")
            run.prepare(plan)
        runs = [run.once(plan, turn, _say) for turn in range(repeat)]
    except (RuntimeError, ReplyError) as error:
        sys.exit(f"python -m benchmarks: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    found = result(head, plan, runs)
    print(f"\n{table.report(found['figures'], found['times_better'], plan.size.users)}\n")
    print(json.dumps(found))


def read(arguments: list[str]) -> tuple[run.Plan, int]:
    """Return what is to be run, and how many times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("--baseline", action="store_true", help="measure the plain design too, in turn")
    add("--against", metavar="URL", type=_base, help=f"measure {AGAINST}")
    add("--against-model", metavar="NAME", default="", help="its model; its first unless named")
    add("--api", action="store_true", help="measure the app's API too; --against does")
    add("--engine-only", action="store_true", help="measure the engine without the page")
    add("--bare", action="store_true", help="measure model.generate alone; --baseline does too")
    add("--quick", action="store_true", help="a small size, to see that it works")
    add("--users", type=_numbers, metavar="1,8", help="how many people at once, in turn")
    add("--tokens", type=int, help="tokens of a reply")
    add("--turns", type=int, help="turns of the conversation that grows")
    add("--turn-tokens", type=int, help="tokens of each of its replies")
    add("--repeat", type=int, default=1, help="runs to take the medians of")
    add("--port", type=int, help="the app's port; a free one unless set")
    add("--cache-dir", help="the app's --cache-dir")
    add("flags", nargs="*", metavar="-- flags", help="flags that the app is started with")
    chosen = parser.parse_args(arguments)
    size: Size = QUICK if chosen.quick else Size()
    sizes = ("users", "tokens", "turns", "turn_tokens")
    size = replace(size, **{name: one for name in sizes if (one := getattr(chosen, name))})
    flags = [*chosen.flags, *(["--cache-dir", chosen.cache_dir] if chosen.cache_dir else [])]
    bare = chosen.bare or chosen.baseline
    plan = run.Plan(
        size,
        flags,
        chosen.baseline,
        bare,
        chosen.engine_only,
        chosen.quick,
        chosen.port,
        chosen.against or "",
        chosen.against_model,
        api=chosen.api,
    )
    return plan, max(1, chosen.repeat)


def result(head: dict[str, str], plan: run.Plan, runs: list[dict[str, Figures]]) -> dict[str, Any]:
    """Return all there is to say: where and how it was measured, and the medians."""
    found = {part: figures.medians([one[part] for one in runs]) for part in runs[0]}
    better = {
        other: figures.ratios(found[ours], found[other])
        for other, ours in table.BESIDE.items()
        if other in found
    }
    return {
        "machine": head,
        "settings": {**asdict(plan), "repeat": len(runs)},
        "figures": {
            part: {name: _rounded(value) for name, value in values.items()}
            for part, values in found.items()
        },
        "times_better": {
            other: {name: _rounded(value) for name, value in values.items()}
            for other, values in better.items()
        },
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")


def _base(address: str) -> str:
    try:
        return api.base(address)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _say(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _end(*_: object) -> NoReturn:
    sys.exit(143)


if __name__ == "__main__":
    main(sys.argv[1:])
