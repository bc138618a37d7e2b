"""What comes of a generator of ids, as engines give them."""

from collections.abc import AsyncGenerator


async def collect(batches: AsyncGenerator[list[int]]) -> list[int]:
    return [id async for ids in batches for id in ids]


async def first(batches: AsyncGenerator[list[int]]) -> list[int]:
    """Return the first ids that come."""
    async for ids in batches:
        if ids:
            return ids
    raise AssertionError("it ended without an id")
