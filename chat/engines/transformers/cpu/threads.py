"""How many threads a CPU computes with, and how many of them it decodes with.

One token is so little work in a small model that its threads wait for each
other more than they work, the more so beside a busy web server; a long prompt
and a large model need them all. Nor do they get anywhere where something else has a core: each
waits for the last one. So it is measured once.
"""

import time
from collections.abc import Callable
from typing import Literal

from chat import machine

#: Seconds a token from which on a model is large, or others are at work: one token says enough.
LARGE = 0.1
#: How much faster all threads must be than one, which leaves the others to the server.
SPEEDUP = 1.5
TRIES, TOKENS = 3, 6


def use(threads: int | Literal["auto"]) -> None:
    """Have this thread, and the engine that it makes, compute with so many; auto is all it has."""
    if many := machine.quota() if threads == "auto" else threads:
        import torch

        torch.set_num_threads(many)


def decoding_threads(every: int, decode: Callable[[int, int], None]) -> int:
    """Return how many threads to decode with: `every` one, or one alone.

    `decode(tokens, threads)` decodes so many tokens with so many threads.
    """
    if every == 1:
        return every
    seconds = _seconds(decode, every)
    return every if _seconds(decode, 1) >= seconds * SPEEDUP else 1


def _seconds(decode: Callable[[int, int], None], threads: int) -> float:
    """Return the seconds that a token takes."""
    least = _timed(decode, 1, threads)
    for _ in range(TRIES):
        if least >= LARGE:
            break
        least = min(least, _timed(decode, TOKENS, threads) / TOKENS)
    return least


def _timed(decode: Callable[[int, int], None], tokens: int, threads: int) -> float:
    begun = time.perf_counter()
    decode(tokens, threads)
    return time.perf_counter() - begun
