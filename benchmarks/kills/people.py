"""Those who chat at once, and what they notice."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from benchmarks.scenarios import story_of
from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import ChatError

MORE = "Go on with the story."


@dataclass
class Told:
    """What one turn of all of them was like."""

    replies: list[str]
    #: Sentences that somebody saw in place of a reply.
    errors: list[str] = field(default_factory=list)
    #: Most seconds between two parts of a reply that came one after the other.
    gap: float = 0.0

    def same(self, longer: "Told") -> int:
        """Return how many replies are as another turn's, which may be longer, begin."""
        pairs = zip(self.replies, longer.replies, strict=True)
        return sum(bool(one) and other.startswith(one) for one, other in pairs)


class People:
    """So many, each with a story of their own, who take the likeliest token each time."""

    def __init__(self, chat: Chat, count: int) -> None:
        self.count = count
        #: How many tokens of this turn's reply each has.
        self.progress = [0] * count
        self._chat = chat

    def tell(self, tokens: int, *turns: Told) -> asyncio.Task[Told]:
        """Have all of them ask at once, after these turns, for so many tokens."""
        self.progress = [0] * self.count
        return asyncio.create_task(self._tell(tokens, turns))

    def ask(self, number: int, tokens: int, *turns: Told) -> AsyncGenerator[Update]:
        """Have one of them ask."""
        messages, message = [], story_of(number, number)
        for turn in turns:
            messages.append({"role": "user", "content": message})
            messages.append({"role": "assistant", "content": turn.replies[number]})
            message = MORE
        sampling = Sampling(
            max_new_tokens=tokens, min_new_tokens=tokens, temperature=0, repetition_penalty=1
        )
        return self._chat.reply(rebuild(messages, message, ""), sampling)

    async def written(self, tokens: int) -> None:
        """Wait until each has so many tokens."""
        while min(self.progress) < tokens:
            await asyncio.sleep(0.02)

    async def _tell(self, tokens: int, turns: tuple[Told, ...]) -> Told:
        told = Told([""] * self.count)
        await asyncio.gather(
            *(self._follow(number, tokens, turns, told) for number in range(self.count))
        )
        return told

    async def _follow(self, number: int, tokens: int, turns: tuple[Told, ...], told: Told) -> None:
        last = 0.0
        try:
            async for update in self.ask(number, tokens, *turns):
                if update.tokens > self.progress[number]:
                    now = time.monotonic()
                    told.gap = max(told.gap, now - (last or now))
                    last = now
                    self.progress[number] = update.tokens
                    told.replies[number] = update.text
        except ChatError as error:
            told.errors.append(str(error))
