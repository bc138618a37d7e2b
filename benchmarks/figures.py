"""The arithmetic: from the times of updates to rates, waits and gaps."""

import bisect
import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.client import Turn

#: One figure by its name; None where it could not be had.
Figures = dict[str, float | None]


class Reply(NamedTuple):
    """One reply, with its tokens counted."""

    sent: float
    #: The time of each update, and how many tokens there were then.
    updates: Sequence[tuple[float, int]]

    @property
    def tokens(self) -> int:
        """How many there were in the end."""
        return self.updates[-1][1]

    @property
    def end(self) -> float:
        """When the last of them came."""
        return self.updates[-1][0]

    @property
    def first_token(self) -> float:
        """Seconds until there was something to read."""
        return self.updates[0][0] - self.sent

    @property
    def rate(self) -> float:
        """Tokens a second over the whole time, from the message on."""
        return self.tokens / (self.end - self.sent)

    @property
    def decode_rate(self) -> float | None:
        """Tokens a second from the first update to the last."""
        seconds = self.end - self.updates[0][0]
        return (self.tokens - self.updates[0][1]) / seconds if seconds else None


def count(turn: Turn, ends: Sequence[int]) -> Reply:
    """Count the tokens of each update; `ends` are where the tokens of the reply's text end.

    A tokenizer splits the text of any server the same way, whether it counts
    its tokens itself or not.
    """
    updates = [(time, bisect.bisect_right(ends, length)) for time, length in turn.updates]
    return Reply(turn.sent, updates)


def together(
    replies: Sequence[Reply], server_cpu: float | None, client_cpu: float | None
) -> Figures:
    """Return the figures of people who were answered at once."""
    tokens = sum(reply.tokens for reply in replies)
    seconds = max(reply.end for reply in replies) - min(reply.sent for reply in replies)
    rates = [reply.rate for reply in replies]
    decode_rates = [rate for reply in replies if (rate := reply.decode_rate) is not None]
    waits = [1000 * reply.first_token for reply in replies]
    return {
        "tokens": tokens,
        "seconds": seconds,
        "total_tokens_per_s": tokens / seconds,
        "user_tokens_per_s": statistics.median(rates),
        "slowest_user_tokens_per_s": min(rates),
        "fastest_user_tokens_per_s": max(rates),
        "fastest_to_slowest": max(rates) / min(rates),
        "decode_tokens_per_s": statistics.median(decode_rates) if decode_rates else None,
        "first_token_ms": statistics.median(waits),
        "first_token_worst_ms": max(waits),
        "server_cpu_ms_per_token": None if server_cpu is None else 1000 * server_cpu / tokens,
        "client_cpu_ms_per_token": None if client_cpu is None else 1000 * client_cpu / tokens,
        **gaps(replies),
    }


def gaps(replies: Iterable[Reply]) -> Figures:
    """Return the times between tokens.

    Tokens that come in one update share the time since the last one; the
    largest gap is between two updates, which is what a reader notices.
    """
    steps = [
        (1000 * (later - before), tokens - tokens_before)
        for reply in replies
        for (before, tokens_before), (later, tokens) in pairwise(reply.updates)
    ]
    each = [(wait / tokens, tokens) for wait, tokens in steps if tokens > 0]
    return {
        "inter_token_p50_ms": percentile(each, 0.5),
        "inter_token_p99_ms": percentile(each, 0.99),
        "largest_gap_ms": max((wait for wait, _ in steps), default=None),
    }


def percentile(weighted: Iterable[tuple[float, int]], share: float) -> float | None:
    """Return the least value that so large a share does not exceed; each counts by its weight."""
    ordered = sorted(weighted)
    left = math.ceil(share * sum(weight for _, weight in ordered))
    for value, weight in ordered:
        left -= weight
        if left <= 0:
            return value
    return None


def medians(runs: Sequence[Figures]) -> Figures:
    """Return the median of each figure over several runs."""
    result: Figures = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        known = [value for run in runs if (value := run.get(name)) is not None]
        result[name] = statistics.median(known) if known else None
    return result


def ratios(ours: Figures, others: Figures) -> Figures:
    """Return how many times better each figure of `ours` is: a higher rate, or less of others."""
    result: Figures = {}
    for name in ours.keys() & others.keys():
        a, b = ours[name], others[name]
        if a and b and name.endswith(("_per_s", "_ms", "_s", "_mb", "_per_token")):
            result[name] = a / b if name.endswith("_per_s") else b / a
    return dict(sorted(result.items()))


def named(prefix: str, figures: Figures) -> Figures:
    """Return the figures with their names under another."""
    return {f"{prefix}.{name}": value for name, value in figures.items()}
