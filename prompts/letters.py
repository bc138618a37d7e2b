"""Marks in a text that grows."""


def held_back(text: str, mark: str) -> int:
    """Return how many letters at the end of a text may begin a mark, and are no whole one."""
    longest = min(len(mark) - 1, len(text))
    return next((size for size in range(longest, 0, -1) if text.endswith(mark[:size])), 0)
