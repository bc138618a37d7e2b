"""Asking engines, and what comes of their generators of ids."""

from collections.abc import AsyncGenerator
from typing import Any

from chat.core.sampling import Sampling


def greedy(tokens: int, **changes: Any) -> Sampling:
    values = {"temperature": 0, "max_new_tokens": tokens, "repetition_penalty": 1, **changes}
    return Sampling(**values)


async def collect(batches: AsyncGenerator[list[int]]) -> list[int]:
    return [id async for ids in batches for id in ids]


async def first(batches: AsyncGenerator[list[int]]) -> list[int]:
    """Return the first ids that come."""
    async for ids in batches:
        if ids:
            return ids
    raise AssertionError("it ended without an id")
