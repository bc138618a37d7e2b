"""With which settings OpenVINO is fastest here: tried once for a model, and kept in the cache."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from math import sqrt
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any, NamedTuple
from zlib import crc32

from chat import machine
from chat.engines.line import Line
from chat.engines.openvino.wire import ROUNDS, Timed, Tries
from chat.models import convert, progress

#: Seconds that all of it may take, and of these for loading the model, once for each setting.
SECONDS, LOADING = 10.0, 5.0
#: How often it is tried if nothing comes of it: a machine may have been busy, or a model be large.
IN_VAIN = 2
#: How much faster others have to be than OpenVINO's own, since two runs differ too.
FASTER = 1.05
#: How much the log-probability of a token may differ by rounding, in nats: twice what it does with
#: bfloat16. Where nothing is right, it differs by several.
ROUNDING = 1.0

Reply = Sequence[tuple[int, float]]


class Speed(NamedTuple):
    """Tokens a second of one person, and of eight at once together."""

    one: float
    many: float

    @property
    def score(self) -> float:
        """By which settings are compared: the geometric mean, so that neither counts for more."""
        return sqrt(self.one * self.many)

    def __str__(self) -> str:
        return f"{self.one:.0f} and {self.many:.0f}"


class Tuned(NamedTuple):
    """What was chosen."""

    #: Beside OpenVINO's own.
    properties: dict[str, Any]
    #: With these, and with OpenVINO's own; none if they could not be tried: most models are too
    #: large for that.
    speed: Speed | None = None
    before: Speed | None = None

    def __str__(self) -> str:
        if not self.speed:
            return f"OpenVINO's own; there are no others that could be tried in {SECONDS:.0f} s"
        rates = f"{self.speed} tokens/s for one person and for eight"
        if not self.properties:
            return f"OpenVINO's own, the fastest here: {rates}"
        named = {"INFERENCE_PRECISION_HINT": "{}", "INFERENCE_NUM_THREADS": "{} threads"}
        chosen = " and ".join(named[key].format(one) for key, one in self.properties.items())
        return f"{chosen}: {rates}, and {self.before} with OpenVINO's own"


def tuned(folder: Path, cache: Path, fixed: Mapping[str, Any], *, again: bool = False) -> Tuned:
    """Return the fastest settings for the model in `folder`, beside those that are `fixed`.

    They are tried the first time on a machine, which takes `SECONDS` at the most, and `again` if
    that is wished.
    """
    if not again and (found := known(folder, cache, fixed)):
        return found
    print(f"Finding the fastest settings for this machine, once ({SECONDS:.0f} s)", flush=True)
    found = best(*_tried(Tries(str(folder), fixed, machine.cores(), LOADING), SECONDS))
    file = _file(folder, cache)
    in_vain = 0 if found.speed else 1 + _kept(file, fixed).get("in_vain", 0)
    made = file.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # a cache may be there to be read alone
        kept = {"for": _here(fixed), "tuned": found, "in_vain": in_vain}
        made.write_text(json.dumps({**kept, "sum": _sum(kept)}))
        made.replace(file)
    return found


def known(folder: Path, cache: Path, fixed: Mapping[str, Any]) -> Tuned | None:
    """Return what was found before, on this machine and with these versions, if anything was."""
    try:
        kept = _kept(_file(folder, cache), fixed)
        properties, *speeds = kept["tuned"]
        found = Tuned(properties, *(one and Speed(*one) for one in speeds))
        return found if found.speed or kept["in_vain"] >= IN_VAIN else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def best(loaded: Sequence[Mapping[str, Any]], rounds: Sequence[Timed]) -> Tuned:
    """Return the fastest of the settings that were tried, of which OpenVINO's own are the first.

    One whose replies are others than the most precise one's, beyond rounding, is left out.
    """
    of: defaultdict[int, list[Timed]] = defaultdict(list)
    for one in rounds:
        of[one.place].append(one)
    if len(loaded) < 2 or len(of) < len(loaded):
        return Tuned({})
    speeds = [
        Speed(median(one.one for one in of[place]), median(one.many for one in of[place]))
        for place in range(len(loaded))
    ]
    precise = next((place for place, one in enumerate(loaded) if _in_full(one)), 0)
    right = of[precise][0].replies
    fit = [place for place in of if alike(right, of[place][0].replies)]
    first = max(fit, key=lambda place: speeds[place].score)
    if 0 in fit and speeds[first].score < FASTER * speeds[0].score:
        first = 0
    return Tuned(dict(loaded[first]), speeds[first], speeds[0])


def alike(right: Sequence[Reply], others: Sequence[Reply]) -> bool:
    """Whether replies are the same but for rounding, each until it has another likely token."""
    for one, other in zip(right, others, strict=True):
        for (id, scored), (other_id, other_scored) in zip(one, other, strict=False):
            if not abs(scored - other_scored) < ROUNDING:  # nor is it so of what is no number
                return False
            if id != other_id:
                break
    return True


def _in_full(properties: Mapping[str, Any]) -> bool:
    return properties.get("INFERENCE_PRECISION_HINT") == "f32"


def _tried(tries: Tries, seconds: float) -> tuple[list[dict[str, Any]], list[Timed]]:
    """Have a process try them; return what it had loaded, and what came of that in time."""
    loaded: list[dict[str, Any]] = []
    rounds: list[Timed] = []
    line = Line("chat.engines.openvino.tuner")
    late = Timer(seconds, line.kill)
    late.daemon = True
    late.start()
    try:
        line.send(tries)
        loaded = line.receive()
        with progress.bar("Tuning", ROUNDS * len(loaded), " rounds") as shown:
            while True:
                rounds.append(line.receive())
                shown.update()
    except EOFError:
        return loaded, rounds
    finally:
        late.cancel()
        line.kill()
        line.end()


def _kept(file: Path, fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file says of this machine; nothing if it says none, or is damaged."""
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
        # What was damaged may still be JSON, with settings that OpenVINO has not.
        whole = kept.pop("sum") == _sum(kept)
        return kept if whole and kept["for"] == _here(fixed) else {}
    except Exception:  # whatever its bytes led to
        return {}


def _sum(kept: Mapping[str, Any]) -> int:
    return crc32(json.dumps(kept).encode())


def _file(folder: Path, cache: Path) -> Path:
    place = convert.place(folder, cache, "tuned")
    return place.with_name(f"{place.name}.json")  # in which there may be dots, as in Q4_1's


def _here(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that the speed depends on, but for the model."""
    versions = {name: metadata.version(name) for name in ("openvino", "openvino-genai")}
    return {**_processor(), **versions, "cores": machine.cores(), "fixed": dict(fixed)}


def _processor() -> dict[str, str]:
    """Return the name of the processor, and what it can do, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {"model name": platform.processor()}
    pairs = (line.partition(":") for line in lines)
    told = {name.strip(): value.strip() for name, _, value in pairs}
    return {name: told[name] for name in ("model name", "flags", "Features") if name in told}
