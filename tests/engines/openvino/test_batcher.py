"""chat.engines.openvino.batcher, step by step, with a random two-layer Llama.

In a process of its own as in the app: once a pipeline has run in a process, a
later SIGINT, as the terminal's tests raise, is its death.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe, get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest

from chat import child
from chat.engines.openvino.engine import EXACT
from chat.engines.openvino.wire import BLOCK, STEP_TOKENS, Job, Plan
from chat.engines.process import Part

ENDLESS = {"ignore_eos": True, "eos_token_id": 1}
LONG = [10 + at % 300 for at in range(STEP_TOKENS + 150)]


def job(number: int, prompt: list[int], tokens: int = 5, **options: Any) -> Job:
    return Job(number, prompt, {**ENDLESS, "max_new_tokens": tokens, **options})


def plan(folder: Path, blocks: int = 100) -> Plan:
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    return Plan(str(folder), blocks, EXACT, job(0, [5, 6], 2), vocabulary)


class Batcher:
    """The real one, with a method for its property, which cannot be reached from afar.

    What its compiler does is noted.
    """

    def __init__(self, plan: Plan, grammar_bytes: int = 10**9) -> None:
        from chat.engines.openvino import batcher, compiler

        self._did: list[str] = []
        did = self._did

        class Compiler(compiler.Compiler):
            def write(self, ties: dict[str, str], tokens: int = 1) -> None:
                did.append(*ties.values())
                super().write(ties, tokens)

            def forget(self) -> None:
                did.append("forget")
                super().forget()

        batcher.Compiler = Compiler  # type: ignore[misc]
        batcher.GRAMMAR_BYTES = grammar_bytes
        self._batcher = batcher.Batcher(plan)

    def did(self) -> list[str]:
        return self._did

    def take(self, message: Job | int) -> None:
        self._batcher.take(message)

    def step(self) -> list[Part]:
        return self._batcher.step()

    def busy(self) -> bool:
        return self._batcher.busy


class Elsewhere(BaseManager):
    """A process with batchers in it."""


Elsewhere.register("Batcher", Batcher)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[Any]:
    with Elsewhere(ctx=get_context("spawn")) as process:
        yield process


@pytest.fixture
def batcher(elsewhere: Any, folder: Path) -> Batcher:
    return elsewhere.Batcher(plan(folder))


def test_it_is_busy_from_the_first_request_to_the_last_token(batcher: Batcher) -> None:
    assert not batcher.busy()
    batcher.take(job(1, [5, 6, 7], tokens=3))
    parts = []
    while batcher.busy():
        parts += batcher.step()
    assert [part.number for part in parts] == [1, 1, 1]
    assert [len(part.ids) for part in parts] == [1, 1, 1]
    assert [part.state for part in parts] == ["running", "running", "done"]


def test_what_the_cache_can_never_hold_keeps_nobody_waiting(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=100 * BLOCK))
    batcher.take(job(2, [8, 9], tokens=2))
    first, *rest = batcher.step()
    assert (first.number, first.state) == (1, "failed")
    assert [part.number for part in rest] == [2]


def test_requests_join_and_leave_while_others_run(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=6))
    batcher.step()
    batcher.take(job(2, [8, 9], tokens=2))
    assert {part.number for part in batcher.step()} == {1, 2}
    assert [part.state for part in batcher.step()] == ["running", "done"]
    assert {part.number for part in batcher.step()} == {1}


def test_who_is_running_gets_a_token_at_each_step_while_a_long_prompt_is_read(
    batcher: Batcher,
) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=20))
    batcher.step()
    batcher.take(job(2, LONG))
    reading = batcher.step()
    assert [part.number for part in reading] == [1]
    assert len(reading[0].ids) == 1
    assert {part.number for part in batcher.step()} == {1, 2}


def steps_to_the_first_token(batcher: Batcher, asked: Job) -> int:
    batcher.take(asked)
    steps = 1
    while not batcher.step():
        steps += 1
    batcher.take(asked.number)
    batcher.step()
    return steps


def test_what_was_read_before_is_not_read_again(batcher: Batcher) -> None:
    assert steps_to_the_first_token(batcher, job(1, LONG)) == 2
    assert steps_to_the_first_token(batcher, job(2, LONG)) == 1
    assert steps_to_the_first_token(batcher, job(3, [*LONG[:-20], 5, 6, 7])) == 1
    assert steps_to_the_first_token(batcher, job(4, [9, *LONG])) == 2


def test_a_cancelled_request_is_gone_after_the_next_step(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=400))
    batcher.step()
    batcher.take(1)
    [part] = batcher.step()
    assert part.ids == []
    assert part.state != "running"
    assert not batcher.busy()


def tied(number: int, pattern: str, prompt: Sequence[int] = (5, 6, 7), size: int = 1) -> Job:
    ends = {"ignore_eos": False, "eos_token_id": 2, "stop_token_ids": {2}}
    ties = {"structured_output_config": {"regex": pattern}}
    return job(number, [*prompt], 2, **ends, **ties)._replace(grammar_bytes=size)


def finish(batcher: Batcher) -> list[Part]:
    parts = []
    while batcher.busy():
        parts += batcher.step()
    return parts


def test_nobody_waits_in_a_step_for_a_grammar(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=400))
    batcher.step()
    batcher.take(tied(2, "[^0-9]{0,60}x"))
    batcher.take(job(3, [5, 6, 7], tokens=2))
    assert {part.number for part in batcher.step()} == {1, 3}
    numbers = [part.number for part in finish(batcher)]
    assert numbers.count(2) == 2
    assert 1 in numbers[: numbers.index(2)]


def test_a_grammar_is_compiled_once(batcher: Batcher) -> None:
    for number in (1, 2):
        batcher.take(tied(number, "a{9}"))
    assert [part.state for part in finish(batcher)] == ["running", "running", "done", "done"]
    assert batcher.did() == ["a{9}"]


def test_nothing_is_compiled_while_a_reply_that_is_held_to_a_grammar_has_no_token(
    batcher: Batcher,
) -> None:
    batcher.take(tied(1, "a{9}"))
    finish(batcher)
    batcher.take(tied(2, "a{9}", LONG))
    batcher.take(tied(3, "b{9}"))
    assert batcher.step() == []  # the first part of its prompt is read
    assert batcher.did() == ["a{9}"]
    assert [part.number for part in batcher.step()] == [2]
    finish(batcher)
    assert batcher.did() == ["a{9}", "b{9}"]


def test_whoever_keeps_coming_with_a_known_grammar_a_new_one_is_compiled(batcher: Batcher) -> None:
    batcher.take(tied(1, "a{9}"))
    finish(batcher)
    known = 2
    batcher.take(tied(known, "a{9}", LONG))
    batcher.take(tied(100, "b{9}"))
    for _ in range(100):
        batcher.step()
        known += 1
        batcher.take(tied(known, "a{9}", [*LONG[:-1], 10 + known]))
        if "b{9}" in batcher.did():
            break
    assert batcher.did() == ["a{9}", "b{9}"]


def test_what_was_compiled_is_let_go_when_it_takes_too_much_memory(
    elsewhere: Any, folder: Path
) -> None:
    batcher = elsewhere.Batcher(plan(folder), grammar_bytes=100)
    batcher.take(job(9, [5, 6, 7], tokens=400))
    for number, pattern in enumerate(["a{9}", "b{9}", "a{9}", "c{9}", "a{9}"]):
        batcher.take(tied(number, pattern, size=50))
        while not any(part.number == number and part.state == "done" for part in batcher.step()):
            pass
    assert batcher.did() == ["a{9}", "b{9}", "forget", "c{9}", "a{9}"]


def test_who_leaves_while_a_grammar_is_compiled_never_runs(batcher: Batcher) -> None:
    batcher.take(tied(1, "[^0-9]{0,60}y"))
    batcher.step()
    batcher.take(1)
    assert not batcher.busy()
    batcher.take(tied(2, "a{9}"))
    assert {part.number for part in finish(batcher)} == {2}


def test_a_grammar_that_is_none_fails_its_request_alone(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=3))
    batcher.take(tied(2, "("))
    parts = finish(batcher)
    assert Part(2, [], "failed") in parts
    assert [part.state for part in parts if part.number == 1] == ["running", "running", "done"]


def test_what_does_not_fit_the_cache_waits_in_line(elsewhere: Any, folder: Path) -> None:
    batcher = elsewhere.Batcher(plan(folder, blocks=10))
    batcher.take(job(1, [5] * 100, tokens=100))  # 8 blocks at most
    batcher.take(job(2, [6] * 100, tokens=100))
    batcher.take(job(3, [7] * 5, tokens=5))  # would fit, but does not jump the line
    given: dict[int, int] = {1: 0, 2: 0, 3: 0}
    while batcher.busy():
        for part in batcher.step():
            given[part.number] += len(part.ids)
            if part.number > 1:
                assert given[1] == 100
    assert given == {1: 100, 2: 100, 3: 5}


def test_a_request_cancelled_in_line_never_runs(elsewhere: Any, folder: Path) -> None:
    batcher = elsewhere.Batcher(plan(folder, blocks=10))
    batcher.take(job(1, [5] * 100, tokens=100))
    batcher.take(job(2, [6] * 100, tokens=100))
    batcher.step()
    batcher.take(2)
    seen = set()
    while batcher.busy():
        seen |= {part.number for part in batcher.step()}
    assert seen == {1}


def test_options_that_are_refused_fail_their_request_alone(batcher: Batcher) -> None:
    batcher.take(job(1, [5, 6, 7], tokens=2))
    batcher.take(job(2, [5, 6, 7], do_sample=True, temperature=-1.0))
    assert Part(2, [], "failed") in batcher.step()
    assert [part.state for part in batcher.step()] == ["done"]
    assert not batcher.busy()


def test_the_process_imports_nothing_of_ours_that_it_does_not_need() -> None:
    program = (
        "import sys, chat.engines.openvino.batcher\n"
        "print(*sorted(name for name in sys.modules if name.split('.')[0] in ('chat', 'pydantic')))"
    )
    ours = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout
    package = "chat.engines.openvino"
    assert ours.decode().split() == [
        *("chat", "chat.allocator", "chat.engines", package, f"{package}.batcher"),
        *(f"{package}.compiler", f"{package}.wire", "chat.engines.process", "chat.errors"),
    ]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_the_process_ends_with_its_server(folder: Path, busy: bool) -> None:
    ours, theirs = Pipe()
    with theirs:
        fd = theirs.fileno()
        process = child.start("chat.engines.openvino.batcher", fd, pass_fds=[fd])
    ours.send(plan(folder))
    assert ours.recv() > 0
    if busy:
        ours.send(job(1, [5, 6, 7], tokens=450))
        assert ours.recv()
    ours.close()
    assert process.wait(20) == 0


def drafting(folder: Path) -> Plan:
    ids = {"num_assistant_tokens": 4}
    return plan(folder)._replace(
        warm_up=job(0, [5, 6], 2)._replace(drafting=ids),
        drafting={"draft_model": str(folder)},
        drafting_blocks=40,
    )


def test_who_is_alone_is_drafted_and_whoever_joins_is_not(elsewhere: Any, folder: Path) -> None:
    batcher = elsewhere.Batcher(drafting(folder))
    one = job(1, [5, 6, 7], 40)._replace(drafting={"num_assistant_tokens": 4})
    batcher.take(one)
    parts = batcher.step() + batcher.step()
    assert max(len(part.ids) for part in parts) > 1
    batcher.take(one._replace(number=2))
    steps = []
    while batcher.busy():
        steps.append(batcher.step())
    seconds = [part for parts in steps for part in parts if part.number == 2]
    assert [len(part.ids) for part in seconds] == [1] * 40
    firsts = [part for parts in steps for part in parts if part.number == 1]
    assert len(firsts) < 15
    both = [[id for part in found for id in part.ids] for found in ([*parts, *firsts], seconds)]
    assert both[0] == both[1]
