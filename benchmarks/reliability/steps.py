"""What is tried, in which order, and what each has to come to."""

from collections.abc import Collection
from typing import NamedTuple


class Found(NamedTuple):
    """What came of a step."""

    #: By their names, in the order in which they are shown.
    figures: dict[str, float | str]
    #: What was not as promised, in a sentence each; nothing if all was.
    broken: list[str]


class Step(NamedTuple):
    """One step, which runs in a process of its own."""

    name: str
    #: What has to be, in a sentence.
    promise: str
    #: Module of this package, and function in it, which takes the share of the full numbers that
    #: is to be tried, and returns a `Found`.
    does: str
    #: Seconds after which it counts as hung, at full numbers; any share has four minutes.
    seconds: int


STEPS: tuple[Step, ...] = (
    Step(
        "faults",
        "Whatever fails, people get one sentence within 2 s, or their reply goes on; a start that "
        "fails says so within 60 s; nothing hangs, nobody sees a traceback, what was written is "
        "kept, and the next one is answered.",
        "faults.step.run",
        14400,
    ),
    Step(
        "callback",
        "Whatever a page sends is answered or refused in a sentence; no control token comes from a "
        "text, and no text goes into a log.",
        "callback.step.run",
        3600,
    ),
    Step(
        "http",
        "Whatever comes over HTTP, cut, slow, oversized or malformed, is answered or refused: no "
        "status 500, no traceback, no text in a log, and the next request is answered exactly.",
        "http.step.run",
        1800,
    ),
    Step(
        "load",
        "200 visitors send 2,000 messages at all doors: every reply is whole and its own, nobody "
        "waits for ever, and who comes first is served first.",
        "load.load",
        3600,
    ),
    Step(
        "aborts",
        "Of 1,000 replies that are given up, at each moment and at each door, nothing is left: no "
        "work, no thread, no connection, no memory; and the next reply is right.",
        "aborts.aborts",
        5400,
    ),
    Step(
        "soak",
        "After two hours of 16 people, the server has no more memory, and is no slower.",
        "soak.soak",
        9000,
    ),
    Step(
        "crowd",
        "While a crowd does what it can to harm, with 10,000 connections, others are answered.",
        "crowd.crowd",
        1800,
    ),
    Step(
        "longpage",
        "While a long reply is written after 200 turns of formulas and code, the browser answers "
        "within 100 ms.",
        "longpage.longpage",
        900,
    ),
    Step(
        "grammars",
        "5,000 different patterns leave the memory, and the waits of others, where they were.",
        "grammars.grammars",
        7200,
    ),
    Step(
        "hostile",
        "Files that mean harm (models, tokenizers, templates, adapters, imports) end in time, in a "
        "sentence, and take no more memory than a good one may.",
        "hostile.step.run",
        14400,
    ),
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
