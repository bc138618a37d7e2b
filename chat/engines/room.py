"""How much of the memory the KV cache of many replies gets, and for how many that is."""

from typing import Literal

from chat.errors import ModelError

#: The share of the free memory that it may take: on a GPU the rest is for the passes.
SHARE_OF_GPU, SHARE_OF_MEMORY = 0.8, 0.25
#: Fewer tokens than this in it are no use.
FEWEST_TOKENS = 1024
#: Most replies at once if nobody says how many; and what part of a window one takes then.
MOST, TYPICAL = 16, 0.5


def pool_tokens(
    free: float, token_bytes: int, window: int, parallel: int | Literal["auto"], *, gpu: bool
) -> int:
    """Return for how many tokens it is, where so many bytes are `free`.

    As much again as the replies take is for what others have said, who read and write
    meanwhile: without it, their next turns are read anew. In memory, which others need too,
    they take a `TYPICAL` part of a window each, if nobody says how many there are.
    """
    many = MOST if parallel == "auto" else parallel
    part = TYPICAL if parallel == "auto" and not gpu else 1
    wanted = 2 * many * part * window
    share = SHARE_OF_GPU if gpu else SHARE_OF_MEMORY
    return int(min(wanted, free * share // token_bytes))


def require(free: float, token_bytes: int, window: int, kind: str, *, gpu: bool) -> None:
    """Raise ModelError if that is too few to be of use; `kind` says of which memory."""
    share = SHARE_OF_GPU if gpu else SHARE_OF_MEMORY
    needed = min(2 * window, FEWEST_TOKENS) * token_bytes / share
    if free < needed:
        raise ModelError(
            f"There is not enough {kind} for this model's KV cache, for which "
            f"{needed / 1e9:.1f} GB have to be free. Choose a smaller model with --model."
        )


def replies(tokens: int, window: int, parallel: int | Literal["auto"], *, least: int = 1) -> int:
    """Return how many replies are written at once: what is asked for, or as many as usually fit.

    But `least`, where who does not fit waits for room and no longer.
    """
    if parallel != "auto":
        return parallel
    return max(least, min(MOST, int(tokens / (TYPICAL * window))))
