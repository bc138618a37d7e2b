"""How much of the memory the pool gets, and for how many replies that is."""

from typing import Literal

#: The share of the free memory that the pool may take: on a GPU the rest is for the passes.
SHARE_OF_GPU, SHARE_OF_MEMORY = 0.8, 0.25
#: Fewer tokens than this in the pool are no use.
FEWEST_TOKENS = 1024
#: Most replies at once if nobody says how many; and what part of a window one takes then.
MOST, TYPICAL = 16, 0.5


def pool_tokens(
    free: float, token_bytes: int, window: int, parallel: int | Literal["auto"], *, gpu: bool
) -> int:
    """Return for how many tokens there is a pool, where so many bytes are `free`.

    As much again as the replies can take is for what is kept of those that have ended.
    """
    wanted = 2 * (MOST if parallel == "auto" else parallel) * window
    share = SHARE_OF_GPU if gpu else SHARE_OF_MEMORY
    return int(min(wanted, free * share // token_bytes))


def bytes_for_fewest(token_bytes: int, window: int, *, gpu: bool) -> float:
    """Return how many bytes have to be free for a pool that is of use."""
    share = SHARE_OF_GPU if gpu else SHARE_OF_MEMORY
    return min(2 * window, FEWEST_TOKENS) * token_bytes / share


def replies(tokens: int, window: int, parallel: int | Literal["auto"]) -> int:
    """Return how many replies are written at once: what is asked for, or as many as usually fit."""
    if parallel != "auto":
        return parallel
    return max(1, min(MOST, int(tokens / (TYPICAL * window))))
