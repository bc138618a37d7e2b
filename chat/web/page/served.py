"""What every page shares: asking the chat, and staying polite to who asks."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from inspect import Parameter, Signature
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import UNEXPECTED, ChatError, describe
from chat.web.page.chatbot import History

TITLE = "Fourbit Chat"
NO_PROMPT = "Nothing yet"

#: Updates that a client may leave unread, 10 seconds' worth, before it counts as gone.
UNREAD = 250

log = logging.getLogger(__name__)

#: Takes a message, a history, a system prompt and the values of the controls.
Respond = Callable[..., AsyncGenerator[Update]]


def responder(chat: Chat) -> Respond:
    """Return what answers one message, and says all that can go wrong as a gr.Error."""

    async def respond(
        message: str, history: History, system_prompt: str, *values: Any, begun: str = ""
    ) -> AsyncGenerator[Update]:
        """Answer one message: yields the reply so far, and a line on where it stands."""
        try:
            sampling = Sampling.checked(**dict(zip(Sampling.model_fields, values, strict=False)))
            # In a thread, since a long history would hold up everyone else's replies.
            asked = await asyncio.to_thread(rebuild, history, message, system_prompt, begun)
            updates = chat.reply(asked, sampling)
            async with aclosing(updates):
                async for update in updates:
                    yield update
        except ChatError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception as error:
            log.error("%s", describe(error))
            raise gr.Error(UNEXPECTED, print_exception=False) from None

    return named(respond, "message", "history", "system_prompt")


def named(ask: Callable[..., Any], *first: str) -> Callable[..., Any]:
    """Give `ask` the names by which API clients give the values of the controls."""
    ask.__signature__ = Signature(  # type: ignore[attr-defined]
        [
            Parameter(name, Parameter.POSITIONAL_OR_KEYWORD)
            for name in [*first, *Sampling.model_fields]
        ]
    )
    return ask


def seen_prompt(update: Update) -> gr.Textbox:
    """Return the box with the prompt as the model reads it."""
    label = f"What the model read last: {update.prompt_tokens:,} tokens, control tokens visible"
    return gr.Textbox(update.prompt, label=label)


class Served(gr.Blocks):
    """A page whose events are heard by someone."""

    chat: Chat
    respond: Respond

    async def heard(
        self, message: str, history: History, *values: Any, begun: str = ""
    ) -> AsyncGenerator[Update]:
        """Run the callback for as long as its updates are fetched.

        Gradio notices a connection that breaks, but not one that was never made.
        """
        unread = self._queue.pending_messages_per_session
        request = LocalContext.request.get(None)
        session = getattr(request, "session_hash", None)
        async with aclosing(self.respond(message, history, *values, begun=begun)) as updates:
            async for update in updates:
                yield update
                if session in unread and unread[session].qsize() > UNREAD:
                    return

    async def process_api(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Handle one event; what cannot even be read gets a sentence, and stays out of the log."""
        try:
            return dict(await super().process_api(*args, **kwargs))
        except gr.Error:
            raise
        except Exception as error:
            log.error("%s", describe(error))
            raise gr.Error("The request could not be read.", print_exception=False) from None
