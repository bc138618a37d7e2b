"""chat.core.titling: titles that the model gives."""

import asyncio

import pytest

from chat.core import titling
from chat.core.attached import block
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.errors import EngineError
from prompts import Message
from tests.support.fakes import ScriptedEngine, ThinkingFormat, chat_with

FILE = block("a.csv (1 token)", "b", "csv")
SAID = [Message("user", "Why does it rain?"), Message("assistant", "Since clouds are full.")]


@pytest.mark.parametrize(
    ("says", "expected"),
    [
        ("Rain and Clouds", "Rain and Clouds"),
        ('"Rain and Clouds."', "Rain and Clouds"),
        ("**Title:** Rain", "Rain"),
        ("Title: Rain\n\nThis title says it all.", "Rain"),
        ("「雨」", "「雨」"),
        ("Rain and a sentence that goes on" + " and on" * 30, ""),
        ("", ""),
        ('""', ""),
        ("A sentence that goes on and on, as those of small models do, is no title.", ""),
    ],
)
async def test_a_title_is_what_the_model_says_without_what_is_around_it(
    says: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(titling, "TOKENS", 200)  # which are letters here
    engine = ScriptedEngine(lambda _: says)
    assert await titling.written(chat_with(engine), SAID) == expected


async def test_the_model_is_asked_by_what_is_said_and_does_not_think() -> None:
    engine = ScriptedEngine(lambda _: "Rain")
    chat = chat_with(engine, format=ThinkingFormat())
    long = [Message("user", f"{FILE}\n\n{'a' * 5000}"), SAID[1]]
    assert await titling.written(chat, long) == "Rain"
    (prompt,) = engine.prompts
    assert prompt.startswith(f"user: {titling.ASK.format(said='a' * titling.SEEN)}\0assistant: ")
    assert prompt.endswith(f"</think>\n\n{titling.BEGUN}")
    assert engine.samplings[0].temperature == 0


async def test_where_there_is_one_place_a_title_takes_it_from_nobody() -> None:
    chat = chat_with(ScriptedEngine(lambda _: "Rain"), max_waiting=0)
    assert chat.gate.places == 1
    assert await titling.written(chat, SAID) == ""


async def _beside(engine: ScriptedEngine, first: bool) -> tuple[str, int]:
    """Return the title that is made while somebody else asks, who comes first or later."""
    chat = chat_with(engine)

    async def someone() -> None:
        async for _ in chat.reply(rebuild([], "Hi", ""), Sampling(max_new_tokens=5)):
            pass

    if first:
        other = asyncio.create_task(someone())
        while not chat.gate.size:
            await asyncio.sleep(0)
        found = await titling.written(chat, SAID)
    else:
        made = asyncio.create_task(titling.written(chat, SAID))
        while not engine.active:
            await asyncio.sleep(0)
        other = asyncio.create_task(someone())
        found = await made
    await other
    return found, len(engine.prompts)


@pytest.mark.parametrize("first", [True, False])
async def test_whoever_asks_comes_first(first: bool) -> None:
    found, asked = await asyncio.wait_for(
        _beside(ScriptedEngine(lambda _: "Rain" * 5, pace=0.05), first), 20
    )
    assert found == ""
    assert asked == (1 if first else 2)


async def test_a_model_that_fails_gives_none() -> None:
    def fail(_: str) -> str:
        raise EngineError("It failed.")

    assert await titling.written(chat_with(ScriptedEngine(fail)), SAID) == ""
