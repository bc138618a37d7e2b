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
    Step("right_float32", "right.transformers", 10, "small", ("float32",)),
    Step("right_bfloat16", "right.transformers", 10, "small", ("bfloat16",)),
    Step("right_float16", "right.transformers", 10, "small", ("float16",)),
    Step("layers", "device.layers", 15, "small"),
    Step("checkpoint", "bench.checkpoint", 40, "small"),
    Step("load", "bench.load", 25, "large"),
    Step("generate", "generate.plain", 15, "large"),
    Step("static", "generate.static", 15, "large"),
    Step("continuous", "generate.continuous", 30, "large"),
    # From here on the model has what the app's engine changes in it.
    Step("profile", "profile.both", 15, "large"),
    Step("engine", "speed.transformers", 20, "large"),
    Step("engine_first_token", "speed.transformers_first_token", 10, "large"),
    Step("engine_turns", "speed.transformers_turns", 25, "large"),
    Step("engine_stops", "faults.transformers_stops", 5, "large"),
    Step("engine_out_of_memory", "faults.transformers_out_of_memory", 10, "large"),
    Step("http_transformers", "http.people", 60, "http", ("transformers",)),
    Step("compiled", "generate.compiled", 90, "compiled"),
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
