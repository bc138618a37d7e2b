"""100,000 inputs: drawn by Hypothesis and, where it is installed, bred by Atheris."""

import asyncio
import logging
import math
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks.reliability.callback.chats import subjects
from benchmarks.reliability.callback.inputs import Input, inputs
from benchmarks.reliability.callback.judge import Judge, Listener, hurry
from benchmarks.reliability.steps import Found

COUNT = 100_000
#: How many of them are bred by what code they reach, where Atheris is there to do it.
BRED = 0.2
#: So many are drawn at a time, since Hypothesis remembers all that it has drawn.
ROUND = 500
#: What Atheris begins with: so many strings of as many bytes, of which an input can be made.
SEEDS, LONGEST = 50, 4096

Try = Callable[[Input], Coroutine[Any, Any, str]]


def run(share: float) -> Found:
    """Send them, to all formats in turn, and say what was wrong with any."""
    hurry()
    count = math.ceil(COUNT * share)
    bred = breed(math.ceil(count * BRED)) if find_spec("atheris") else []
    listener = Listener()
    logging.getLogger().addHandler(listener)
    judges = {name: Judge(subject) for name, subject in subjects().items()}
    wrong = Counter(filter(None, bred))
    tries = [
        (name, attempt)
        for name, judge in judges.items()
        for attempt in (judge.at_the_callback, judge.at_reply)
    ]
    # Each format is to have its turn, however many others are bred.
    size = max(1, min(ROUND, math.ceil((count - len(bred)) / len(tries))))
    drawn = 0
    with asyncio.Runner() as runner:
        while drawn + len(bred) < count:
            name, attempt = tries[drawn // size % len(tries)]
            wrong.update(f"{what} ({name})" for what in draw(runner, attempt, size, drawn))
            drawn += size
    if listener.told:
        wrong["a log has what a person wrote"] = listener.told
    answered = {name: judge.answered for name, judge in judges.items()}
    return Found(
        {
            "inputs drawn by Hypothesis": drawn,
            "inputs bred by Atheris": len(bred),
            "formats": len(judges),
            "of those drawn, answered": sum(answered.values()),
            "of those, of the format with the fewest": min(answered.values()),
            "lines of log": listener.records,
            "wrong": wrong.total(),
        },
        [
            *(f"Of {number} inputs: {what}." for what, number in wrong.most_common()),
            *unanswered(answered),
        ],
    )


def unanswered(answered: dict[str, int]) -> list[str]:
    """Return what is to be said of formats of which nothing was answered, and so nothing judged."""
    return [f"No input was answered ({name})." for name, number in answered.items() if not number]


def draw(runner: asyncio.Runner, attempt: Try, count: int, number: int) -> list[str]:
    """Draw so many inputs, others for each number, and return what was wrong with any."""
    wrong: list[str] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def each(one: Input) -> None:
        if what := runner.run(attempt(one)):
            wrong.append(what)

    each()
    return wrong


def breed(count: int) -> list[str]:
    """Have Atheris breed so many, in a process of its own; return what was wrong with each."""
    with tempfile.TemporaryDirectory() as folder:
        file, seeds = Path(folder, "found.txt"), Path(folder, "seeds")
        seeds.mkdir()
        for number in range(SEEDS):
            Path(seeds, str(number)).write_bytes(random.Random(number).randbytes(LONGEST))
        command = [sys.executable, "-m", "benchmarks.reliability.callback.bred", str(file)]
        options = [f"-runs={count + SEEDS}", f"-max_len={LONGEST}", "-len_control=0", "-timeout=20"]
        ended = subprocess.run(
            [*command, *options, f"-artifact_prefix={folder}/", str(seeds)],
            capture_output=True,
            check=False,
        )
        if ended.returncode:
            return [f"Atheris ended with status {ended.returncode}"] * count
        return file.read_text().splitlines()
