"""What one token costs: kernels, their time on the GPU, and how often the CPU waits for it."""

import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiled

from benchmarks.gpu import generate, replies
from benchmarks.gpu.bench import Bench, figure
from benchmarks.gpu.report import Result

#: Forward passes before the first that is watched: the prompt, and one to warm up.
BEFORE = 2
#: So many kernels are named.
NAMED = 8


class Watch:
    """Watches whole tokens, from one forward pass of the model to the same place in a later one.

    It begins and ends in a hook, and so on the thread that the model runs on.
    """

    def __init__(self, bench: Bench, tokens: int, within: Callable[[ExitStack], None]) -> None:
        self._bench = bench
        self._tokens = tokens
        self._within = within
        self._passes = 0
        self._open = ExitStack()
        self._began = 0.0
        #: Milliseconds a token.
        self.ms = 0.0

    def run(self, write: Callable[[int], object]) -> None:
        """Have `write` write so many tokens that all are watched that should be."""
        handle = self._bench.model.register_forward_pre_hook(self._pass)
        try:
            write(BEFORE + self._tokens + 1)
        finally:
            handle.remove()
            self._open.close()
        if not self.ms:
            raise RuntimeError("The model wrote fewer tokens than it should.")

    def _pass(self, *_: object) -> None:
        if self._passes == BEFORE:
            self._bench.wait()
            self._within(self._open)
            self._began = time.perf_counter()
        if self._passes == BEFORE + self._tokens:
            self._bench.wait()
            self.ms = 1000 * (time.perf_counter() - self._began) / self._tokens
            self._open.close()
        self._passes += 1


def both(bench: Bench) -> Result:
    """Profile `model.generate`, and the transformers engine, greedy and drawn."""
    prompt = bench.ids(bench.size.prompt, 11)

    def by_engine(sampling: Callable[[int], Any]) -> Callable[[int], object]:
        return lambda tokens: replies.run(replies.write(bench.engine, prompt, sampling(tokens)))

    bench.close()  # the engine's hooks belong to the engine's profile
    ways: dict[str, Callable[[int], object]] = {
        "generate": lambda tokens: generate.greedy(bench.model, prompt, tokens),
        "engine, greedy": by_engine(replies.greedy),
        "engine, drawn": by_engine(lambda tokens: replies.drawn(tokens, 1)),
    }
    return {name: _one(bench, write) for name, write in ways.items()}


def _one(bench: Bench, write: Callable[[int], object]) -> Result:
    tokens = bench.size.profiled
    write(BEFORE + 1)
    bare = Watch(bench, tokens, lambda _: None)
    bare.run(write)
    found: Result = {"ms_per_token": figure(bare.ms)}
    if bench.cuda:
        seen: list[warnings.WarningMessage] = []
        Watch(bench, tokens, lambda within: _waits(within, seen)).run(write)
        waits = sum("synchroniz" in str(one.message) for one in seen)
        found["waits_per_token"] = figure(waits / tokens)
    profiles: list[profiled] = []
    Watch(bench, tokens, lambda within: _profile(bench, within, profiles)).run(write)
    return found | _kernels(bench, profiles[0], tokens)


def _waits(within: ExitStack, seen: list[warnings.WarningMessage]) -> None:
    """Keep a warning for each time that the CPU waits for the GPU."""
    caught = within.enter_context(warnings.catch_warnings(record=True))
    warnings.simplefilter("always")
    torch.cuda.set_sync_debug_mode("warn")
    within.callback(lambda: seen.extend(caught))
    within.callback(torch.cuda.set_sync_debug_mode, "default")


def _profile(bench: Bench, within: ExitStack, profiles: list[profiled]) -> None:
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.cuda else [])]
    profiles.append(within.enter_context(profiled(activities=kinds)))


def _kernels(bench: Bench, found: profiled, tokens: int) -> Result:
    """Return the kernels of a token; on a CPU the operators, which stand for them."""
    averages: list[Any] = list(found.key_averages())
    kind = "CUDA" if bench.cuda else "CPU"
    events = [one for one in averages if one.device_type.name == kind]
    timed = "self_device_time_total" if bench.cuda else "self_cpu_time_total"
    events.sort(key=lambda one: -getattr(one, timed))
    total = sum(getattr(one, timed) for one in events)
    return {
        "kernels_per_token": figure(sum(one.count for one in events) / tokens),
        "kernel_ms_per_token": figure(total / 1000 / tokens),
        "most_ms_per_token": {
            one.key[:80]: figure(getattr(one, timed) / 1000 / tokens) for one in events[:NAMED]
        },
    }
