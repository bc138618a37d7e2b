"""What one input comes to, and what of that must not be."""

import asyncio
import logging
import unicodedata
from collections.abc import AsyncGenerator
from contextlib import aclosing

from benchmarks.reliability.callback.chats import Subject
from benchmarks.reliability.callback.inputs import CANARY, Input
from chat.core import chat
from chat.core.chat import Update
from chat.core.conversation import Conversation, rebuild
from chat.core.fitting import fit
from chat.core.sampling import Sampling
from chat.errors import UNEXPECTED, ChatError
from chat.web.page.ask import ask
from prompts import PromptFormat, visible
from prompts.base import Begun

#: Seconds in which an input is answered or refused.
PATIENCE = 10.0


def hurry() -> None:
    """Have no reply of this process wait for a browser to show it, since none does."""
    chat.INTERVAL = 0.0


class Listener(logging.Handler):
    """Hears all that is logged, and whether any of it is what people wrote."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.records = 0
        self.told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record, with its arguments and its exception."""
        error = record.exc_info[1] if record.exc_info else None
        said = f"{record.getMessage()} {vars(record)} {error} {error!r}"
        self.records += 1
        self.told += CANARY in said


class Judge:
    """Sends inputs to one chat, and says what was wrong with what came of them."""

    def __init__(self, subject: Subject) -> None:
        self._chat, self._engine, self._controls = subject
        #: How many were answered; the others were refused, each in a sentence.
        self.answered = 0

    async def at_the_callback(self, one: Input) -> str:
        """Send one as a page's callback gets it; return what is wrong, or nothing."""
        controls = {**one.controls, "system_prompt": one.system_prompt}
        sent = one.message, one.history, controls
        return await self._judge(one, ask(self._chat, *sent, one.begun, one.thought))

    async def at_reply(self, one: Input) -> str:
        """Send one to `Chat.reply`, as other doors do; return what is wrong, or nothing."""
        try:
            conversation, sampling = _read(one)
        except ChatError as error:
            return _sentence(error)
        except Exception as error:
            return f"it could not be read for {type(error).__name__}"
        return await self._judge(one, self._chat.reply(conversation, sampling))

    async def _judge(self, one: Input, updates: AsyncGenerator[Update]) -> str:
        self._engine.prompts.clear()
        last = None
        try:
            async with asyncio.timeout(PATIENCE), aclosing(updates):
                async for update in updates:
                    last = update
        except ChatError as error:
            return _sentence(error)
        except Exception as error:
            return f"it ended in {type(error).__name__}"
        if last is None or last.state not in ("finished", "length"):
            return "it was never answered"
        self.answered += 1
        return self._forged(one)

    def _forged(self, one: Input) -> str:
        """Return whether the prompt has other marks than with harmless texts in it."""
        conversation, sampling = _read(one)
        format = self._chat.format.asking(sampling.thinking)
        begun = conversation.begun
        said = begun.content.removeprefix(format.opening(conversation.asked) or "")
        prompt = fit(
            conversation.with_begun(said, begun.thought),
            format,
            self._chat.tokens,
            window=self._chat.engine.window,
            max_new_tokens=sampling.max_new_tokens,
        )
        if list(self._engine.prompts[0]) != prompt.ids:
            return "it was prompted with something else than what fits"
        kept = [one._replace(content="x" * bool(one.content.strip())) for one in prompt.kept]
        kept = [one._replace(thought="x" * bool(one.thought)) for one in kept]
        reply = begun._replace(content="x" * bool(said), thought="x" * bool(begun.thought))
        harmless = format.begun(kept, reply)
        if self._marks(format, prompt.begun) == self._marks(format, harmless):
            return ""
        return "its prompt has marks that a person wrote"

    def _marks(self, format: PromptFormat, prompt: Begun) -> tuple[list[int], list[int]]:
        """Return those of a prompt: control ids in order, and how often each mark in words."""
        ids = [id for id in self._chat.tokens.encode(prompt.pieces) if id in self._controls]
        text = _alike("".join(map(visible, prompt.pieces)))
        return ids, [text.count(_alike(mark)) for mark in format.marks]


def _read(one: Input) -> tuple[Conversation, Sampling]:
    sampling = Sampling.checked(**one.controls)
    return rebuild(one.history, one.message, one.system_prompt, one.begun, one.thought), sampling


def _sentence(error: ChatError) -> str:
    said = str(error)
    if said == UNEXPECTED:
        return "nobody foresaw it"
    return "" if said.strip() and "Traceback" not in said else "it was refused without a sentence"


def _alike(text: str) -> str:
    """Return what a tokenizer might read: letters taken apart, and ▁ for a space."""
    return unicodedata.normalize("NFKD", text).replace("▁", " ")
