"""chat.core.chat: one message in, the reply so far out."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest

from chat.core.chat import FEW, INTERVAL, LONGEST, interval
from chat.core.conversation import rebuild
from chat.core.engine import Cached, Resumed
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.shares import Account, asking
from chat.errors import BadRequest, EngineError, TooLong
from prompts import Message, Piece, PromptError
from tests.support.fakes import LineFormat, ScriptedEngine, chat_with
from tests.support.replies import STOP, BatchEngine, ask, collect


async def test_a_reply_goes_from_reading_over_writing_to_finished() -> None:
    chat = chat_with(BatchEngine("", "Hel", "lo", f"!{STOP}"))
    updates = await collect(ask(chat))
    assert [(update.state, update.text, update.tokens) for update in updates] == [
        ("reading", "", 0),
        ("reading", "", 0),
        ("writing", "Hel", 3),
        ("writing", "Hello", 5),
        ("writing", "Hello!", 6),
        ("finished", "Hello!", 6),
    ]
    assert {update.prompt_tokens for update in updates} == {
        len("user: hi") + 1 + len("assistant: ")
    }


async def test_the_prompt_holds_system_prompt_history_and_message() -> None:
    engine = BatchEngine(STOP)
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    await collect(chat_with(engine).reply(rebuild(history, "c", "s"), Sampling()))
    assert engine.prompts == ["system: s\0user: a\0assistant: b\0user: c\0assistant: "]


async def test_the_controls_reach_the_engine() -> None:
    engine = ScriptedEngine(lambda prompt: "")
    sampling = Sampling(max_new_tokens=7, temperature=0.1, top_k=3)
    await collect(chat_with(engine).reply(rebuild([], "hi", ""), sampling))
    assert engine.samplings == [sampling]


async def longest(
    asked: int, limit: int | None = None, message: str = "hi", **more: Any
) -> Sampling:
    """Return what of `asked` tokens the engine is asked for."""
    engine = ScriptedEngine()
    chat = chat_with(engine)
    chat.longest = limit
    sampling = Sampling(max_new_tokens=asked, **more)
    await collect(chat.reply(rebuild([], message, ""), sampling))
    (prompt,), (given,) = engine.prompts, engine.samplings
    assert len(prompt) + given.max_new_tokens <= engine.window
    return given


async def test_a_reply_that_asks_for_more_gets_all_that_the_prompt_leaves() -> None:
    overhead = len("user: \0assistant: ")
    assert (await longest(2**70)).max_new_tokens == 2000 - overhead - 2
    assert (await longest(5000, message="x" * 900)).max_new_tokens == 2000 - overhead - 900
    assert (await longest(1500, message="x" * 900)).max_new_tokens == 2000 - overhead - 900
    assert (await longest(1000, message="x" * 900)).max_new_tokens == 1000


async def test_the_host_may_limit_a_reply_for_everyone() -> None:
    assert (await longest(5000, limit=7)).max_new_tokens == 7
    assert (await longest(6, limit=7)).max_new_tokens == 6
    assert (await longest(5000, limit=9000)).max_new_tokens < 2000
    assert (await longest(50, limit=7, min_new_tokens=30)).min_new_tokens == 7


async def test_a_reply_that_is_cut_by_the_host_says_so() -> None:
    chat = chat_with(ScriptedEngine())
    chat.longest = 3
    last = (await collect(ask(chat)))[-1]
    assert (last.state, last.tokens) == ("length", 3)


@pytest.mark.parametrize(
    ("written", "limit", "state"),
    [
        ("ab", 2, "length"),
        (f"a{STOP}", 2, "finished"),
        (f"ab{STOP}", 3, "finished"),
        (STOP, 1, "finished"),
        ("ab", 3, "finished"),
    ],
)
async def test_the_last_update_tells_why_the_reply_ended(
    written: str, limit: int, state: str
) -> None:
    updates = await collect(ask(chat_with(BatchEngine(written)), max_new_tokens=limit))
    assert updates[-1].state == state
    assert updates[-1].text == written.strip(STOP)


async def test_the_time_that_the_prompt_takes_does_not_count_as_writing() -> None:
    updates = await collect(ask(chat_with(BatchEngine("", f"Hello{STOP}"))))
    assert updates[-1].seconds == 0
    updates = await collect(ask(chat_with(BatchEngine("", "Hel", f"lo{STOP}"))))
    assert updates[-1].seconds >= INTERVAL * 0.9


async def test_a_browser_gets_no_more_than_25_updates_a_second() -> None:
    start = time.monotonic()
    await collect(ask(chat_with(BatchEngine(*"Hello"))))
    assert time.monotonic() - start >= 5 * INTERVAL * 0.9


async def test_one_of_many_replies_is_updated_less_often() -> None:
    chat = chat_with(BatchEngine(*"Hello"))
    chat.gate = Gate(64, 0)
    with ExitStack() as others:
        for _ in range(63):
            others.enter_context(chat.gate.enter())
        start = time.monotonic()
        updates = await collect(ask(chat))
        assert time.monotonic() - start >= 5 * LONGEST * 0.9
    assert updates[-1].text == "Hello"


def test_updates_are_bounded_for_one_reply_and_for_all_of_them() -> None:
    assert interval(0) == interval(1) == interval(FEW) == INTERVAL
    assert interval(1000) == LONGEST
    for replies in range(1, 1000):
        assert INTERVAL <= interval(replies) <= interval(replies + 1) <= LONGEST
        assert replies / interval(replies) <= max(FEW / INTERVAL, replies / LONGEST) + 1e-6


async def test_each_update_says_how_many_turns_were_left_out() -> None:
    history = [
        {"role": role, "content": "x" * 900} for _ in range(2) for role in ("user", "assistant")
    ]
    chat = chat_with(BatchEngine("a"))
    updates = await collect(chat.reply(rebuild(history, "hi", ""), Sampling()))
    assert {update.dropped_turns for update in updates} == {2}


@pytest.mark.parametrize(
    ("message", "max_new_tokens", "error"),
    [
        (" \n", 10, BadRequest),
        ("x" * 200_000, 10, TooLong),
        ("x" * 2000, 10, TooLong),
        ("x" * 1000, 2000, TooLong),
    ],
)
async def test_a_refused_message_costs_nothing_and_the_next_one_works(
    message: str, max_new_tokens: int, error: type[Exception]
) -> None:
    engine = BatchEngine("ok")
    chat = chat_with(engine, max_waiting=0)
    with pytest.raises(error):
        await collect(ask(chat, message, max_new_tokens=max_new_tokens))
    assert engine.prompts == []
    assert chat.gate.size == 0
    assert (await collect(ask(chat)))[-1].text == "ok"


async def test_an_error_of_the_engine_comes_after_the_text_so_far_and_the_next_message_works() -> (
    None
):
    engine = BatchEngine("par", "tly", EngineError("The model failed."))
    chat = chat_with(engine, max_waiting=0)
    updates = ask(chat)
    texts = [(await anext(updates)).text for _ in range(3)]
    with pytest.raises(EngineError, match="The model failed"):
        await anext(updates)
    assert texts == ["", "par", "partly"]
    assert (engine.active, chat.gate.size) == (0, 0)
    engine.batches = ("well",)
    assert (await collect(ask(chat)))[-1].text == "well"


async def test_the_prompt_that_is_shown_and_counted_is_the_one_that_the_engine_is_fed() -> None:
    engine = ScriptedEngine()
    updates = await collect(ask(chat_with(engine), "hi there"))
    [fed] = engine.prompts
    for update in updates:
        assert update.prompt_tokens == len(fed)
        assert update.prompt == fed.replace(STOP, "|") == "user: hi there|assistant: "


async def test_what_the_engine_cannot_obey_is_refused_by_name_before_it_starts() -> None:
    engine = ScriptedEngine()
    for name, title in (("negative_prompt", "Negative prompt"), ("regex", "Regular expression")):
        with pytest.raises(BadRequest, match=f"^{title} cannot be used with the engine"):
            await anext(chat_with(engine).reply(rebuild([], "Hi", ""), Sampling(**{name: "x"})))
    assert engine.prompts == []


async def test_the_negative_prompt_is_the_same_conversation_under_another_system_prompt() -> None:
    class Steered(ScriptedEngine):
        supports = frozenset({"negative_prompt"})
        negatives: list[str] = []  # noqa: RUF012

        async def generate(
            self,
            prompt: Sequence[int],
            sampling: Sampling,
            negative: Sequence[int] = (),
            session: str = "",
        ) -> AsyncGenerator[list[int]]:
            self.negatives.append("".join(map(chr, negative)))
            async for ids in super().generate(prompt, sampling):
                yield ids

    engine = Steered()
    for sampling in (Sampling(negative_prompt="Be rude."), Sampling()):
        updates = await collect(chat_with(engine).reply(rebuild([], "Hi", "Be kind."), sampling))
        assert updates[-1].state == "finished"
    assert engine.negatives == [engine.prompts[0].replace("Be kind.", "Be rude."), ""]
    assert "Be kind." in engine.prompts[0]


async def test_what_a_prompt_format_refuses_is_a_request_that_cannot_be_answered() -> None:
    class Refusing(LineFormat):
        def pieces(self, messages: Sequence[Message]) -> list[Piece]:
            raise PromptError("This model's chat template refused the conversation.")

    engine = ScriptedEngine()
    with pytest.raises(BadRequest, match=r"^This model's chat template refused") as caught:
        await anext(ask(chat_with(engine, format=Refusing())))
    assert caught.value.field == "message"
    assert engine.prompts == []


async def test_what_the_engine_says_first_of_the_prefix_cache_is_told() -> None:
    chat = chat_with(BatchEngine("", Cached(5), "a", Cached(9), f"b{STOP}"))
    await collect(ask(chat))
    updates = await collect(ask(chat))
    assert [update.cached_tokens for update in updates] == [None, None, *[5] * 5]
    assert updates[-1].text == "ab"


async def test_that_is_never_more_than_the_prompt_has() -> None:
    """Where another goes on with a reply, what is written of it is a part of its prompt."""
    chat = chat_with(BatchEngine(Resumed(), Cached(999), f"a{STOP}"))
    await collect(ask(chat))
    *_, last = await collect(ask(chat))
    assert last.cached_tokens == last.prompt_tokens


async def test_what_somebody_else_wrote_cannot_be_guessed_by_it() -> None:
    chat = chat_with(BatchEngine(Cached(999), f"a{STOP}"))

    async def cached(who: str, message: str) -> int | None:
        token = asking.set((Account(who),))
        try:
            *_, last = await collect(ask(chat, message))
        finally:
            asking.reset(token)
        return last.cached_tokens

    await cached("ann", "My PIN is 4821")
    assert await cached("bob", "My PIN is 48") == 0
    assert await cached("bob", "My PIN is 4821") == 0
    assert await cached("bob", "My PIN is 4821") == len("user: My PIN is 4821|assistant: ")
