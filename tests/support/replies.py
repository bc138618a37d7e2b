"""Replies of a chat to one message, by an engine that gives its batches as it is told to."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from tests.support.fakes import END, ScriptedEngine

STOP = chr(END)


class BatchEngine(ScriptedEngine):
    """Gives these batches, one after another, and fails at an exception among them."""

    def __init__(self, *batches: str | list[int] | Exception) -> None:
        super().__init__()
        self.batches = batches

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        self.active += 1
        self.prompts.append("".join(map(chr, prompt)))
        try:
            for batch in self.batches:
                if isinstance(batch, Exception):
                    raise batch
                yield [ord(letter) for letter in batch] if isinstance(batch, str) else batch
        finally:
            self.active -= 1


def ask(chat: Chat, message: Any = "hi", **sampling: Any) -> AsyncGenerator[Update]:
    return chat.reply(rebuild([], message, ""), Sampling(**sampling))


async def collect(updates: AsyncGenerator[Update]) -> list[Update]:
    return [update async for update in updates]
