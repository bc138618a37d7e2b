"""Page, Gradio's API and OpenAI's at once: one gate for all, and to each their own."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from chat.core.chat import Chat
from chat.core.sampling import Sampling
from chat.settings import Settings
from chat.web import serve
from chat.web.page import page
from tests.support.crowd import SIZE, Say, crowd
from tests.support.fakes import ScriptedEngine, chat_with, last_message


class HeldEngine(ScriptedEngine):
    """Answers four at once, and nobody until it is let go."""

    parallel = 4
    held = True

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        while self.held:
            await asyncio.sleep(0.01)
            yield []
        async for ids in super().generate(prompt, sampling, negative):
            yield ids


async def everyone_in_line(chat: Chat) -> None:
    async with asyncio.timeout(30):
        while chat.gate.size < SIZE:
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_16_people_at_once_by_every_way_get_their_own_replies_whole_and_in_turn() -> None:
    engine = HeldEngine(lambda prompt: f"Re: {last_message(prompt)}. " * 3, pace=0.001)
    chat = chat_with(engine)
    settings = Settings()
    built = page.build(chat, settings)
    try:
        async with crowd(serve.launch(built, settings, block=False)) as people:

            async def converse(number: int, say: Say) -> list[str]:
                return [await say(f"person {number} turn {turn}") for turn in range(2)]

            talking = asyncio.gather(*(converse(*person) for person in enumerate(people)))
            await everyone_in_line(chat)
            engine.held = False
            replies = await talking
    finally:
        built.close()
    for number, said in enumerate(replies):
        assert said == [" ".join([f"Re: person {number} turn {turn}."] * 3) for turn in range(2)]
    assert engine.most_active == engine.parallel
    asked = [last_message(prompt) for prompt in engine.prompts]
    # Nobody is answered again before everyone who waits is answered once.
    assert {message.split()[1] for message in asked[:SIZE]} == set(map(str, range(SIZE)))
    for prompt, message in zip(engine.prompts, asked, strict=True):
        _, number, _, turn = message.split()
        before = [f"user: person {number} turn {past}" for past in range(int(turn))]
        assert all(one in prompt for one in before)
        assert prompt.count("user: ") == int(turn) + 1
