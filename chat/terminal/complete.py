"""Completion: a model continues a text, through `Chat.reply` and the format `plain`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.terminal.console import Console

if TYPE_CHECKING:
    from chat.engines.transformers.decode import Step


def complete(chat: Chat, text: str, sampling: Sampling, console: Console, *, at_once: bool) -> None:
    """Write how the model goes on after `text`, while it does or `at_once` at the end.

    Raises:
        ChatError: it cannot.
    """
    updates = chat.reply(rebuild([], text, ""), sampling)
    asyncio.run(console.stream(_last(updates) if at_once else updates))


def show_step(console: Console, number: int, step: "Step", text: str) -> None:
    """Write what one step of the loop read and chose."""
    phase = f"decode {number}" if number else "prefill"
    cache = f"{step.layers} layers of {list(step.cache)}"
    console.note(f"{phase}: input {list(step.input)} -> cache {cache} -> {text!r}")


async def _last(updates: AsyncGenerator[Update]) -> AsyncGenerator[Update]:
    async with aclosing(updates):
        async for update in updates:
            last = update
    yield last
