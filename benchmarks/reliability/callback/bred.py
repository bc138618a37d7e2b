"""Inputs bred by the code that they reach: `python -m benchmarks.reliability.callback.bred FILE`.

Atheris is no requirement of ours. It makes bytes, of which Hypothesis makes inputs.
"""

import asyncio
import logging
import sys
from itertools import cycle
from pathlib import Path
from typing import Any, cast

import atheris

with atheris.instrument_imports(include=["chat.core", "prompts"]):
    from benchmarks.reliability.callback.chats import subjects
    from benchmarks.reliability.callback.inputs import Input, inputs
    from benchmarks.reliability.callback.judge import Judge, Listener, hurry

from hypothesis import given


def main(file: Path, options: list[str]) -> None:
    """Breed them, and write a line for each, which says what is wrong with it, if anything is."""
    hurry()
    listener = Listener()
    logging.getLogger().addHandler(listener)
    judges = cycle([Judge(subject) for subject in subjects().values()])
    runner = asyncio.Runner()
    # Atheris ends the process where it stands.
    found = file.open("w", buffering=1)

    @given(inputs)
    def each(one: Input) -> None:
        told = listener.told
        what = runner.run(next(judges).at_the_callback(one))
        found.write("a log has what a person wrote\n" if listener.told > told else f"{what}\n")

    breeding = cast(Any, each).hypothesis.fuzz_one_input
    atheris.Setup([sys.argv[0], *options], lambda data: breeding(data) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
