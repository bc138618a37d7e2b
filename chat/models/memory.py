"""Whether there is room for something, asked before it is tried."""

from chat.errors import ModelError


def require(needed: float, free: float, what: str) -> None:
    """Raise ModelError if `needed` bytes of `what` are more than are `free`."""
    if needed > free:
        raise ModelError(
            f"This model needs about {needed / 1e9:.1f} GB of {what}, and {free / 1e9:.1f} GB are "
            "free. Choose a smaller one with --model."
        )
