"""How fast an engine of the app is, for one person and for several, without a server."""

import time
from collections.abc import Sequence

from benchmarks import figures
from benchmarks.figures import Reply
from benchmarks.gpu import replies
from benchmarks.gpu.bench import Bench, figure
from benchmarks.gpu.report import Result
from chat.core.engine import Engine
from chat.core.sampling import Sampling

#: Figures of `benchmarks.figures.together` that say something about a GPU.
SHOWN = ("total_tokens_per_s", "first_token_ms", "first_token_worst_ms", "inter_token_p99_ms")
#: Tokens of the message that each turn of a conversation adds.
MESSAGE = 30


def people(bench: Bench, engine: Engine, counts: Sequence[int]) -> Result:
    """Measure so many at once, each with a prompt that nobody has read, drawn as users do.

    `tokens_per_s` is that of all together, while all are written at once.
    """
    size = bench.size
    replies.run(replies.write(engine, bench.ids(size.prompt, 99), replies.drawn(4, 0)))
    found: Result = {}
    for count in counts:
        prompts = [bench.ids(size.prompt, 100 * count + seed) for seed in range(count)]
        samplings = [replies.drawn(size.tokens, seed) for seed in range(count)]
        found[f"{count}"] = _figures(bench, engine, prompts, samplings)
    prompts, samplings = [bench.ids(size.prompt, 98)], [replies.greedy(size.tokens)]
    found["1, greedy"] = _figures(bench, engine, prompts, samplings)
    return {**found, "parallel": engine.parallel, "used_gb": bench.used_gb()}


def _figures(
    bench: Bench, engine: Engine, prompts: list[list[int]], samplings: list[Sampling]
) -> Result:
    written = replies.run(replies.together(engine, prompts, samplings))
    came = [one.reply for one in written]
    measured = figures.together(came, 0, None)
    rate = decoding(came)
    found = {name: figure(value) for name in SHOWN if (value := measured[name]) is not None}
    if rate:
        context = bench.size.prompt + bench.size.tokens // 2
        found["tokens_per_s"] = figure(rate)
        found["share"] = bench.share(rate, len(prompts), context)  # type: ignore[assignment]
    return found


def decoding(came: list[Reply]) -> float | None:
    """Return the tokens a second of all replies from when all have begun until one ends.

    None if they are not written at once.
    """
    begin = max(reply.updates[0][0] for reply in came)
    end = min(reply.end for reply in came)
    if end <= begin:
        return None

    def count(reply: Reply, until: float) -> int:
        return max((tokens for time, tokens in reply.updates if time <= until), default=0)

    return sum(count(reply, end) - count(reply, begin) for reply in came) / (end - begin)


def first_token(bench: Bench, engine: Engine) -> Result:
    """Measure the wait for the first token of prompts that nobody has read."""
    found: Result = {}
    for length in bench.size.firsts:
        prompt = bench.ids(min(length, bench.window - 8), length)
        reply = replies.run(replies.write(engine, prompt, replies.greedy(4))).reply
        found[f"{len(prompt)} tokens"] = {
            "first_token_ms": figure(1000 * reply.first_token),
            "read_tokens_per_s": figure(len(prompt) / reply.first_token),
        }
    return found


def turns(bench: Bench, engine: Engine) -> Result:
    """Measure the wait for the first token of each turn of a conversation."""
    prompt, waits = bench.ids(100, 7), list[float]()
    for turn in range(bench.size.turns):
        written = replies.run(replies.write(engine, prompt, replies.greedy(bench.size.turn_tokens)))
        waits.append(1000 * written.reply.first_token)
        prompt = [*prompt, *written.ids, *bench.ids(MESSAGE, 1000 + turn)]
    return {
        "first_token_ms": list(map(figure, waits)),
        "last_over_first": figure(waits[-1] / waits[0]),
        "tokens": len(prompt),
    }


def batched(bench: Bench) -> Result:
    """`people` with the batched engine, and what it takes to start."""
    before = bench.used_gb()
    started = bench.batched()
    found = people(bench, started.engine, bench.size.people)
    return {**started.said, **found, "used_gb_before": before}


def batched_eager(bench: Bench) -> Result:
    """The same without CUDA graphs."""
    started = bench.batched(way="eager")
    return {**started.said, **people(bench, started.engine, bench.size.people)}


def batched_plain(bench: Bench) -> Result:
    """The same with the layers that transformers and bitsandbytes bring."""
    started = bench.batched(way="plain")
    return {**started.said, **people(bench, started.engine, bench.size.people)}


def batched_first_token(bench: Bench) -> Result:
    """`first_token` with the batched engine."""
    return first_token(bench, bench.batched().engine)


def batched_turns(bench: Bench) -> Result:
    """`turns` with the batched engine."""
    return turns(bench, bench.batched().engine)


def transformers(bench: Bench) -> Result:
    """One person with the transformers engine, where more are one after another; and its start."""
    assert bench.model  # loaded, so that this is not counted
    began = time.perf_counter()
    engine = bench.renew_engine()
    return {"start_s": figure(time.perf_counter() - began), **people(bench, engine, [1])}


def transformers_first_token(bench: Bench) -> Result:
    """`first_token` with the transformers engine."""
    return first_token(bench, bench.engine)


def transformers_turns(bench: Bench) -> Result:
    """`turns` with the transformers engine."""
    return turns(bench, bench.engine)
