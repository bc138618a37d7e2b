"""Between a page and the chat: what was asked, as the chat takes it, and what can go wrong."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import UNEXPECTED, ChatError, describe
from chat.web.page.history import History

#: Updates that a client may leave unread, 10 seconds' worth, before it counts as gone.
UNREAD = 250

log = logging.getLogger(__name__)


async def ask(
    chat: Chat,
    message: str,
    history: History,
    controls: Mapping[str, Any],
    begun: str = "",
    thought: str = "",
) -> AsyncGenerator[Update]:
    """Answer one message.

    `controls` has the values of the page's by their names, `begun` is what there is of the
    reply, and `thought` of what was thought before it.

    Raises:
        ChatError: it cannot be answered, or not to the end.
    """
    given = dict(controls)
    system_prompt = given.pop("system_prompt", "")
    try:
        # In threads, since a large schema or a long history would hold up everyone else's replies.
        sampling = await asyncio.to_thread(Sampling.checked, **given)
        said = history, message, system_prompt, begun, thought
        conversation = await asyncio.to_thread(rebuild, *said)
        async with aclosing(chat.reply(conversation, sampling)) as updates:
            async for update in updates:
                yield update
    except ChatError:
        raise
    except Exception as error:
        log.error("%s", describe(error))
        raise ChatError(UNEXPECTED) from None


async def fetched(
    updates: AsyncGenerator[Update], unread: Callable[[], int]
) -> AsyncGenerator[Update]:
    """Yield the updates for as long as they are fetched; `unread` says how many still are to be."""
    async with aclosing(updates):
        async for update in updates:
            yield update
            # Gradio notices a connection that breaks, but not one that was never made.
            if unread() > UNREAD:
                return
