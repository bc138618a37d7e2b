"""Marks in a text that grows."""


def held_back(text: str, mark: str) -> int:
    """Return how many letters at the end of a text may begin a mark, and are no whole one."""
    longest = min(len(mark) - 1, len(text))
    at = text.find(mark[:1], len(text) - longest)
    while at >= 0 and not mark.startswith(text[at:]):
        at = text.find(mark[:1], at + 1)
    return len(text) - at if at >= 0 else 0
