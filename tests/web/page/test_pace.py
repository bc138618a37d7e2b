"""Fewer updates where there is more on the page, and none that matters is missing."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from chat.core.chat import Update
from chat.errors import EngineError
from chat.web.page.pace import paced

LONG = 1_000_000
"""Messages after which no test waits for the next update."""
REPLY = [
    Update("waiting", place=1),
    Update("reading"),
    Update("writing", "O"),
    Update("writing", "On"),
    Update("writing", "One"),
    Update("finished", "One."),
]


async def told(*updates: Update, error: Exception | None = None) -> AsyncGenerator[Update]:
    for update in updates:
        yield update
    if error:
        raise error


async def test_a_short_conversation_has_all_updates() -> None:
    assert [update async for update in paced(told(*REPLY), 0)] == REPLY


async def test_a_long_one_has_the_first_of_each_state_and_the_whole_reply_at_the_end() -> None:
    seen = [update async for update in paced(told(*REPLY), LONG)]
    assert [update.state for update in seen] == ["waiting", "reading", "writing", "finished"]
    assert [update.text for update in seen] == ["", "", "O", "One."]


async def test_what_was_left_out_before_an_error_is_shown_before_it() -> None:
    updates = paced(told(*REPLY[:5], error=EngineError("It failed.")), LONG)
    seen = [await anext(updates) for _ in range(4)]
    assert seen[-1].text == "One"
    with pytest.raises(EngineError, match="It failed"):
        await anext(updates)


async def test_who_leaves_closes_it_at_once() -> None:
    updates = told(*REPLY)
    async with aclosing(updates), aclosing(paced(updates, LONG)) as some:
        assert await anext(some) == REPLY[0]
    with pytest.raises(StopAsyncIteration):
        await anext(updates)
