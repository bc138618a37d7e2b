"""How many threads a CPU decodes with.

One token is so little work in a small model that its threads wait for each
other more than they work, the more so beside a busy web server; a long prompt
and a large model need them all. So it is measured once.
"""

import time
from collections.abc import Callable

#: Seconds a token from which on a model is large, and one thread is not even tried.
LARGE = 0.1
#: How much faster all threads must be than one, which leaves the others to the server.
SPEEDUP = 1.5
TRIES, TOKENS = 3, 6


def decoding_threads(every: int, decode: Callable[[int, int], None]) -> int:
    """Return how many threads to decode with: `every` one, or one alone.

    `decode(tokens, threads)` decodes so many tokens with so many threads.
    """
    seconds = _seconds(decode, every)
    if every == 1 or seconds >= LARGE or _seconds(decode, 1) >= seconds * SPEEDUP:
        return every
    return 1


def _seconds(decode: Callable[[int, int], None], threads: int) -> float:
    """Return the seconds that a token takes."""
    least = float("inf")
    for _ in range(TRIES):
        begun = time.perf_counter()
        decode(TOKENS, threads)
        least = min(least, (time.perf_counter() - begun) / TOKENS)
        if least >= LARGE:
            break
    return least
