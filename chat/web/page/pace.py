"""Fewer updates where there is more on the page."""

import time
from collections.abc import AsyncGenerator

from chat.core.chat import Update
from chat.errors import ChatError

#: Seconds between two updates of a reply for each message before it. With each of them Gradio's
#: page goes through all messages, which takes a browser 0.1 to 0.2 ms for each.
A_MESSAGE = 0.0005


async def paced(updates: AsyncGenerator[Update], messages: int) -> AsyncGenerator[Update]:
    """Yield updates after so many messages: what is left out comes with the next.

    Each that has another state than the one before is there, and the last before an error. It is
    left to the caller to close `updates`.
    """
    left_out, state, due = None, "", 0.0
    try:
        async for update in updates:
            if update.state == state and time.monotonic() < due:
                left_out = update
                continue
            yield update
            left_out, state, due = None, update.state, time.monotonic() + A_MESSAGE * messages
    except ChatError:
        if left_out:
            yield left_out
        raise
