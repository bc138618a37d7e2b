"""How many examples are tried: a few each time, and more where time is no matter.

`CHAT_TEST_EXAMPLES=10 pytest tests/prompts/test_forgery.py` tries ten times as many.
"""

import os

TIMES = float(os.environ.get("CHAT_TEST_EXAMPLES", "1"))


def some(number: int) -> int:
    """Return how many to try where `number` are usual."""
    return max(1, round(number * TIMES))
