"""A real server, at the address in CHAT_TEST_SERVER; of what runs there only the tokenizer is here.

CHAT_TEST_MODEL is what `--model` would be, CHAT_TEST_KEY its key.
"""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from pydantic import SecretStr

from chat.core.chat import Chat
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.engines.server.engine import ServerEngine
from chat.load import load
from chat.settings import Settings
from prompts import Control
from tests.support.batches import collect, first, greedy

URL = os.environ.get("CHAT_TEST_SERVER", "")
pytestmark = pytest.mark.skipif(not URL, reason="CHAT_TEST_SERVER names no server")


@pytest.fixture(scope="module")
def chat() -> Iterator[Chat]:
    key = os.environ.get("CHAT_TEST_KEY")
    chat = load(
        Settings(
            engine="server",
            server_url=URL,
            server_key=SecretStr(key) if key else None,
            model=os.environ.get("CHAT_TEST_MODEL", "auto"),
        )
    )
    yield chat
    chat.engine.close()


def prompt(chat: Chat, text: str = "Tell me about rain.") -> list[int]:
    return chat.tokens.encode(chat.format.pieces(rebuild([], text, "").messages))


async def said(chat: Chat, text: str, sampling: Sampling) -> str:
    async with aclosing(chat.reply(rebuild([], text, ""), sampling)) as updates:
        return [update async for update in updates][-1].text


async def test_it_chats(chat: Chat) -> None:
    assert "Paris" in await said(chat, "What is the capital of France?", greedy(30))


async def test_no_id_is_lost(chat: Chat) -> None:
    """Letters of several bytes are several tokens each, and llama.cpp gives no id within one."""
    text = "🙂🙃 東京 Zürich "
    ids = chat.tokens.encode([Control(text * 12)])
    reply = await collect(chat.engine.generate(ids, greedy(40)))
    assert len(reply) == 40 or reply[-1] in chat.engine.stop_ids
    shown = chat.tokens.show(reply).rstrip("\ufffd")
    assert "\ufffd" not in shown


async def test_a_reply_goes_on_from_its_middle(chat: Chat) -> None:
    """As after a break; rounding may change some, and not most."""
    same = 0
    for text in ("Tell me about rain.", "Count to twenty.", "Who was Newton?", "Say hello."):
        ids = prompt(chat, text)
        whole = await collect(chat.engine.generate(ids, greedy(24)))
        half = whole[: len(whole) // 2]
        rest = await collect(chat.engine.generate([*ids, *half], greedy(24 - len(half))))
        same += [*half, *rest] == whole
    assert same >= 2


async def test_controls_are_obeyed(chat: Chat) -> None:
    ids = prompt(chat)
    one, other = [
        await collect(chat.engine.generate(ids, Sampling(max_new_tokens=12, seed=seed)))
        for seed in (1, 2)
    ]
    assert one != other
    engine = chat.engine
    sampling = greedy(40, min_new_tokens=40)
    shortest = await collect(engine.generate(prompt(chat, "Say hi."), sampling))
    assert len(shortest) >= 39
    assert engine.stop_ids.isdisjoint(shortest[:39])
    likeliest = (await collect(engine.generate(ids, greedy(1))))[0]
    if "logit_bias" in engine.supports:
        biased = greedy(1, logit_bias={likeliest: -100})
        assert await collect(engine.generate(ids, biased)) != [likeliest]
    if "choices" in engine.supports:
        assert await said(chat, "Is rain wet?", greedy(20, choices=["never ever", "aye"])) in (
            *("never ever", "aye"),
        )
    if "regex" in engine.supports:
        number = await said(chat, "Say a number.", greedy(20, regex="[0-9]{3}"))
        assert re.fullmatch("[0-9]{3}", number)
    if "json_schema" in engine.supports:
        schema = '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}'
        found = await said(chat, "a?", greedy(40, json_schema=schema))
        assert re.fullmatch(r'\{\s*"a"\s*:\s*-?\d+\s*\}', found)


async def test_eight_at_once_and_hanging_up(chat: Chat) -> None:
    assert isinstance(chat.engine, ServerEngine)
    ids = prompt(chat)
    replies = (collect(chat.engine.generate(ids, greedy(16))) for _ in range(8))
    assert all(await asyncio.gather(*replies))
    begin = time.monotonic()
    for _ in range(8):
        async with aclosing(chat.engine.generate(ids, greedy(2000))) as batches:
            await first(batches)
    assert await collect(chat.engine.generate(ids, greedy(2)))
    assert time.monotonic() - begin < 30, "nobody is waited for who has left"
