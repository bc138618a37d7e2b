"""What is done, in which order, and in which process.

A step is a function of a `Bench`, and of what stands behind its name here; it returns
figures by their names. Steps in a row that name the same process share it, and with it a
model in memory. What is to be right comes before what is to be fast, and last what takes
longest.
"""

from collections.abc import Collection
from typing import NamedTuple


class Step(NamedTuple):
    """One step."""

    name: str
    #: Module of this package, and function in it.
    does: str
    #: Seconds that it takes on a fast card; without so many left it is skipped there.
    seconds: int
    #: In which process.
    process: str
    arguments: tuple[object, ...] = ()


STEPS = (
    Step("machine", "device.machine", 5, "small"),
    Step("bandwidth", "device.bandwidth", 5, "small"),
    Step("right_float32", "right.transformers", 18, "small", ("float32",)),
    Step("right_bfloat16", "right.transformers", 6, "small", ("bfloat16",)),
    Step("right_float16", "right.transformers", 6, "small", ("float16",)),
    Step("batched_right_float32", "right.batched", 16, "small", ("float32", "usual")),
    Step("batched_controls", "controls.compare", 10, "small"),
    Step("batched_killed", "right.killed", 20, "small"),
    Step("batched_right_bfloat16", "right.batched", 16, "small", ("bfloat16", "usual")),
    Step("batched_right_float16", "right.batched", 16, "small", ("float16", "usual")),
    Step("batched_right_eager", "right.batched", 18, "small", ("bfloat16", "eager")),
    Step("batched_right_rows", "right.batched", 18, "small", ("bfloat16", "rows")),
    Step("layers", "device.layers", 3, "small"),
    Step("checkpoint", "bench.checkpoint", 18, "small"),
    Step("batched", "speed.batched", 50, "batched"),
    Step("batched_first_token", "speed.batched_first_token", 3, "batched"),
    Step("batched_turns", "speed.batched_turns", 8, "batched"),
    Step("batched_stops", "faults.batched_stops", 3, "batched"),
    Step("batched_little_memory", "faults.batched_little_memory", 3, "batched"),
    Step("load", "bench.load", 15, "large"),
    Step("generate", "generate.plain", 25, "large"),
    Step("profile", "profile.both", 25, "large"),
    Step("engine", "speed.transformers", 25, "large"),
    Step("engine_first_token", "speed.transformers_first_token", 10, "large"),
    Step("engine_turns", "speed.transformers_turns", 25, "large"),
    Step("engine_stops", "faults.transformers_stops", 5, "large"),
    Step("engine_out_of_memory", "faults.transformers_out_of_memory", 10, "large"),
    Step("http", "http.people", 60, "http"),
    Step("batched_eager", "speed.batched_eager", 40, "eager"),
    Step("batched_plain", "speed.batched_plain", 40, "plain"),
    Step("static", "generate.static", 40, "beside"),
    Step("continuous", "generate.continuous", 30, "beside"),
    Step("compiled", "generate.compiled", 60, "beside"),
)


def chosen(only: Collection[str]) -> list[Step]:
    """Return the steps with these names, or all of them, in their order.

    Raises:
        ValueError: there is none of that name.
    """
    names = [step.name for step in STEPS]
    if unknown := set(only) - set(names):
        there = ", ".join(names)
        raise ValueError(f"There is no step {', '.join(sorted(unknown))}, but {there}.")
    return [step for step in STEPS if not only or step.name in only]
