"""Between a page and the chat: what was asked, as the chat takes it, and what can go wrong."""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from chat.core.chat import Chat, Update
from chat.core.sampling import Sampling
from chat.errors import UNEXPECTED, ChatError, describe
from chat.web.page.history import History
from prompts import PromptError

#: Updates that a client may leave unread, 10 seconds' worth, before it counts as gone.
UNREAD = 250

log = logging.getLogger(__name__)


async def ask(
    chat: Chat,
    message: str,
    history: History,
    controls: Mapping[str, Any],
    unread: Callable[[], int],
    begun: str = "",
) -> AsyncGenerator[Update]:
    """Answer one message for as long as its updates are fetched.

    `controls` has the values of the page's by their names, `unread` says how many
    updates are still to be fetched, and `begun` is what there is of the reply.

    Raises:
        ChatError: it cannot be answered, or not to the end.
    """
    given = dict(controls)
    system_prompt = given.pop("system_prompt", "")
    try:
        sampling = Sampling.checked(**given)
        async with aclosing(
            chat.reply(message, history, system_prompt, sampling, begun)
        ) as updates:
            async for update in updates:
                yield update
                # Gradio notices a connection that breaks, but not one that was never made.
                if unread() > UNREAD:
                    return
    except ChatError:
        raise
    except PromptError as error:
        raise ChatError(str(error)) from None
    except Exception as error:
        log.error("%s", describe(error))
        raise ChatError(UNEXPECTED) from None
