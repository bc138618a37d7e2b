"""What an engine does when people leave and when memory runs out, and whether it goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from benchmarks.gpu import replies
from benchmarks.gpu.bench import GB, Bench, figure
from benchmarks.gpu.report import Result
from benchmarks.gpu.right import Case, Judge, stopped_while_reading
from chat.core.engine import Engine
from chat.errors import EngineError

SHORT, TOKENS = 40, 8
#: Bytes that are left beside a pool.
LITTLE = 100_000_000


def stops(bench: Bench, engine: Engine) -> Result:
    """Measure how long the next one waits after a stop, while writing and while reading.

    `usual_ms` is the wait with nobody before.
    """

    async def next_ms(seed: int) -> float:
        prompt = bench.ids(SHORT, seed)
        return 1000 * (await replies.write(engine, prompt, replies.greedy(2))).reply.first_token

    async def each() -> Result:
        await next_ms(1)
        usual = await next_ms(2)
        await replies.write(
            engine, bench.ids(SHORT, 3), replies.greedy(400 if bench.cuda else 40), until=5
        )
        writing = await next_ms(4)
        await stopped_while_reading(engine, bench.ids(_long(bench), 5), after=0.03)
        reading = await next_ms(6)
        waits = {"usual_ms": usual, "after_writing_ms": writing, "after_reading_ms": reading}
        return {name: figure(wait) for name, wait in waits.items()}

    return replies.run(each())


def transformers_out_of_memory(bench: Bench) -> Result:
    """Leave too little memory for a long prompt: it says so, and the next one is answered.

    The engine is a new one, which keeps nothing that it could let go instead.
    """
    engine, judge = bench.renew_engine(), Judge(bench.model)
    short = bench.ids(SHORT, 9)
    expected = replies.run(replies.write(engine, short, replies.greedy(TOKENS))).ids
    with little_memory(bench, _long(bench) * bench.kv_bytes // 2, bench.model):
        found = _asked_for_too_much(bench, engine)
        again = replies.run(replies.write(engine, short, replies.greedy(TOKENS))).ids
    judge.compare("the next one", Case(short, expected), again)
    found |= judge.result()
    found["right"] &= found["long"].startswith("OutOfMemory") and found["state"] == "ready"
    return found


def batched_little_memory(bench: Bench) -> Result:
    """The same with the batched engine, whose pool is there before: it may find room, or say so."""
    engine = bench.batched().engine
    with little_memory(bench, LITTLE):
        found = _asked_for_too_much(bench, engine)
        short = replies.run(replies.write(engine, bench.ids(SHORT, 9), replies.greedy(TOKENS))).ids
    return {**found, "right": len(short) == TOKENS and found["state"] == "ready"}


def _asked_for_too_much(bench: Bench, engine: Engine) -> Result:
    """Ask for a long reply, and say what came of it."""
    prompt, free = bench.ids(_long(bench), 8), None
    if bench.cuda:
        free = figure(torch.cuda.mem_get_info()[0] / GB)
    try:
        replies.run(replies.write(engine, prompt, replies.greedy(TOKENS)))
        long = "was answered"
    except EngineError as error:
        long = f"{type(error).__name__}: {error}"
    return {"free_gb": free, "long": long, "state": engine.state}


def _long(bench: Bench) -> int:
    return min(bench.size.firsts[-1], bench.window - TOKENS)


@contextmanager
def little_memory(bench: Bench, left: int, model: nn.Module | None = None) -> Iterator[None]:
    """Leave so many bytes of the GPU's memory; on a CPU have `model` say that there are none."""
    if bench.cuda:
        bench.empty()
        free = torch.cuda.mem_get_info()[0]
        ballast = torch.empty(max(0, free - left), dtype=torch.uint8, device="cuda")
        try:
            yield
        finally:
            del ballast
            bench.empty()
        return

    def refuse(_: object, __: object, inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] > SHORT:
            raise torch.OutOfMemoryError("There is no memory for this.")

    handle = model.register_forward_pre_hook(refuse, with_kwargs=True) if model else None
    try:
        yield
    finally:
        if handle:
            handle.remove()


def transformers_stops(bench: Bench) -> Result:
    """`stops` with the transformers engine."""
    return stops(bench, bench.engine)


def batched_stops(bench: Bench) -> Result:
    """`stops` with the batched engine."""
    return stops(bench, bench.batched().engine)
