"""How replies are drawn: the same at each server, since each has other defaults."""

from typing import Any


def controls(tokens: int, seed: int = 1) -> dict[str, Any]:
    """Return the controls of a page by their labels, for a reply of just so many tokens."""
    return {
        "System prompt": "You are a helpful assistant.",
        "Max new tokens": tokens,
        "Min new tokens": tokens,
        "Temperature": 0.7,
        "Top-p": 0.95,
        "Top-k": 50,
        "Min-p": 0.0,
        "Repetition penalty": 1.0,
        "Seed": seed,
    }
