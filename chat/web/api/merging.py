"""Several replies to one request, told apart by their place, from 0."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from chat.core.chat import Update


async def merged(
    replies: Sequence[AsyncGenerator[Update]],
) -> AsyncGenerator[tuple[int, Update]]:
    """Yield the updates of all replies as they come; the first error ends them all."""
    if len(replies) == 1:
        async with aclosing(replies[0]) as updates:
            async for update in updates:
                yield 0, update
        return
    queue: asyncio.Queue[tuple[int, Update | Exception | None]] = asyncio.Queue(maxsize=1)

    async def follow(place: int) -> None:
        end = None
        try:
            async with aclosing(replies[place]) as updates:
                async for update in updates:
                    await queue.put((place, update))
        except Exception as error:
            end = error
        await queue.put((place, end))

    tasks = [asyncio.create_task(follow(place)) for place in range(len(replies))]
    left = len(tasks)
    try:
        while left:
            match await queue.get():
                case _, None:
                    left -= 1
                case _, Exception() as error:
                    raise error
                case place, Update() as update:
                    yield place, update
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
