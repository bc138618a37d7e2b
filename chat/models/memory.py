"""Whether there is room for something, asked before it is tried."""

from chat.errors import ModelError

SMALLER = "Choose a smaller one with --model."


def require(needed: float, free: float, what: str, advice: str = SMALLER) -> None:
    """Raise ModelError, with `advice`, if `needed` bytes of `what` are more than are `free`."""
    if needed > free:
        raise ModelError(
            f"This model needs about {needed / 1e9:.1f} GB of {what}, and {free / 1e9:.1f} GB are "
            f"free. {advice}"
        )
