"""What an engine does when people leave and when memory runs out, and whether it goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.gpu import replies
from benchmarks.gpu.bench import GB, Bench, figure
from benchmarks.gpu.report import Result
from benchmarks.gpu.right import stopped_while_reading
from chat.core.engine import Engine
from chat.errors import OutOfMemory

SHORT, TOKENS = 40, 8


def stops(bench: Bench, engine: Engine) -> Result:
    """Measure how long the next one waits after a stop, while writing and while reading.

    `usual_ms` is the wait with nobody before.
    """
    length = min(bench.size.firsts[-1], bench.window - TOKENS)

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
        await stopped_while_reading(engine, bench.ids(length, 5), after=0.03)
        reading = await next_ms(6)
        waits = {"usual_ms": usual, "after_writing_ms": writing, "after_reading_ms": reading}
        return {name: figure(wait) for name, wait in waits.items()}

    return replies.run(each())


def out_of_memory(bench: Bench, engine: Engine) -> Result:
    """Leave too little memory for a long prompt: it says so, and the next one is answered."""
    long = bench.ids(min(bench.size.firsts[-1], bench.window - TOKENS), 8)
    short = bench.ids(SHORT, 9)
    before = replies.run(replies.write(engine, short, replies.greedy(TOKENS))).ids
    found: Result = {}
    with little_memory(bench, len(long) * bench.kv_bytes // 2):
        found["free_gb"] = figure(torch.cuda.mem_get_info()[0] / GB) if bench.cuda else None
        try:
            replies.run(replies.write(engine, long, replies.greedy(TOKENS)))
            found["long"] = "was answered"
        except OutOfMemory as error:
            found["long"] = f"OutOfMemory: {error}"
        found["state"] = engine.state
        began = time.perf_counter()
        after = replies.run(replies.write(engine, short, replies.greedy(TOKENS))).ids
        found["short_after_ms"] = figure(1000 * (time.perf_counter() - began))
    found["short_equal"] = after == before
    said = str(found["long"]).startswith("OutOfMemory")
    found["right"] = said and after == before and engine.state == "ready"
    return found


@contextmanager
def little_memory(bench: Bench, left: int) -> Iterator[None]:
    """Leave so many bytes of the GPU's memory; a CPU says that there are none, to long prompts."""
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

    def refuse(_: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[1] > SHORT:
            raise torch.OutOfMemoryError("There is no memory for this.")

    handle = bench.model.get_input_embeddings().register_forward_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()


def transformers_stops(bench: Bench) -> Result:
    """`stops` with the transformers engine."""
    return stops(bench, bench.engine)


def transformers_out_of_memory(bench: Bench) -> Result:
    """`out_of_memory` with the transformers engine, which keeps nothing that it could let go."""
    return out_of_memory(bench, bench.renew_engine())
