"""chat.core.chat: one message in, the reply so far out."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack, aclosing
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.core.chat import FEW, INTERVAL, LONGEST, Chat, Update, interval
from chat.core.conversation import rebuild
from chat.core.engine import TICK, Cached, Queued, Resumed
from chat.core.gate import Gate
from chat.core.reply import tidy
from chat.core.sampling import Sampling
from chat.core.tokens import FastTokens
from chat.errors import BadRequest, EngineError, QueueFull, TooLong
from prompts import Message, Piece, PromptError, PromptFormat
from prompts.formats.plain import Plain
from tests.support.fakes import END, CharTokens, LineFormat, ScriptedEngine, chat_with, last_message
from tests.support.tiny import chatml_tokenizer

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


async def test_it_is_told_that_others_come_first_where_the_model_is() -> None:
    chat = chat_with(BatchEngine(Queued(), "", f"a{STOP}"))
    updates = await collect(ask(chat))
    assert [update.queued for update in updates] == [False, True, False, False, False]


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


async def test_stray_white_space_never_shows() -> None:
    updates = await collect(ask(chat_with(BatchEngine(" ", "\n Hi ", f"there \n{STOP}"))))
    assert [update.text for update in updates] == ["", "", "Hi", "Hi there", "Hi there"]


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


@pytest.mark.parametrize("seen", [1, 2, 3])
async def test_closing_the_reply_at_any_moment_ends_the_generation(seen: int) -> None:
    engine = BatchEngine(*"Hello")
    chat = chat_with(engine, max_waiting=0)
    updates = ask(chat)
    for _ in range(seen):
        await anext(updates)
    assert chat.gate.size == 1
    await updates.aclose()
    assert (engine.active, chat.gate.size) == (0, 0)


async def test_cancelling_the_task_ends_the_generation() -> None:
    engine = ScriptedEngine(lambda prompt: "no end " * 100)
    chat, written = chat_with(engine), asyncio.Event()

    async def consume() -> None:
        async with aclosing(ask(chat)) as updates:
            async for update in updates:
                if update.text:
                    written.set()

    task = asyncio.create_task(consume())
    await written.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (engine.active, chat.gate.size) == (0, 0)


async def test_who_waits_sees_the_place_in_line_and_is_answered_in_turn() -> None:
    engine = BatchEngine("ok")
    chat = chat_with(engine)
    lines = [ask(chat, name) for name in "abc"]
    seen = [await anext(line) for line in lines]
    assert [(update.state, update.place) for update in seen] == [
        ("reading", 0),
        ("waiting", 1),
        ("waiting", 2),
    ]
    await lines[0].aclose()
    assert (await anext(lines[2])).place == 1
    assert (await anext(lines[1])).state == "reading"
    assert (await collect(lines[1]))[-1].text == "ok"
    assert (await collect(lines[2]))[-1].text == "ok"
    assert [last_message(prompt) for prompt in engine.prompts] == ["b", "c"]


async def test_who_gives_up_in_the_queue_never_reaches_the_engine() -> None:
    engine = BatchEngine("ok")
    chat = chat_with(engine)
    first, second = ask(chat, "a"), ask(chat, "b")
    await anext(first)
    assert (await anext(second)).state == "waiting"
    waiting = asyncio.create_task(anext(second))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert chat.gate.size == 1
    assert (await collect(first))[-1].text == "ok"
    assert [last_message(prompt) for prompt in engine.prompts] == ["a"]


async def test_who_waits_hears_something_after_each_tick() -> None:
    chat = chat_with(BatchEngine("ok"))
    first, second = ask(chat), ask(chat)
    await anext(first)
    for _ in range(2):
        assert (await asyncio.wait_for(anext(second), 20 * TICK)).state == "waiting"
    await second.aclose()
    await first.aclose()


async def test_a_full_queue_refuses_at_once_and_opens_again() -> None:
    chat = chat_with(BatchEngine("ok"), max_waiting=0)
    first = ask(chat)
    await anext(first)
    with pytest.raises(QueueFull):
        await anext(ask(chat))
    await first.aclose()
    assert (await collect(ask(chat)))[-1].text == "ok"


async def test_replies_asked_for_at_once_are_written_one_by_one_each_to_its_own_person() -> None:
    engine = ScriptedEngine(last_message)
    chat = chat_with(engine)
    everyone = await asyncio.gather(*(collect(ask(chat, name)) for name in ("ann", "bob", "eve")))
    assert [updates[-1].text for updates in everyone] == ["ann", "bob", "eve"]
    assert engine.most_active == 1
    for updates in everyone:
        texts = [update.text for update in updates]
        assert all(after.startswith(before) for before, after in pairwise(texts))


async def test_half_a_character_of_one_reply_does_not_come_into_the_next() -> None:
    tokens = FastTokens(chatml_tokenizer())
    engine = BatchEngine(tokens.encode(["𐍈"])[:-1])
    chat = Chat(engine, tokens, LineFormat(), Gate(1, 0))
    assert (await collect(ask(chat)))[-1].text == ""
    engine.batches = (tokens.encode(["B"]),)
    assert (await collect(ask(chat)))[-1].text == "B"


async def test_a_prompt_that_is_slow_to_compose_holds_nobody_up() -> None:
    others_went_on = threading.Event()

    class SlowTokens(CharTokens):
        def encode(self, pieces: Sequence[Piece]) -> list[int]:
            assert others_went_on.wait(timeout=20)
            return super().encode(pieces)

    chat = Chat(BatchEngine("ok"), SlowTokens(), LineFormat(), Gate(1, 0))
    reply = asyncio.create_task(collect(ask(chat)))
    await asyncio.sleep(0)
    others_went_on.set()
    assert (await reply)[-1].text == "ok"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (" Hello", "Hello"),
        ("\n\n  \nHello \n\n", "Hello"),
        ("    indented()\n  less", "    indented()\n  less"),
        ("\n    indented()", "    indented()"),
        ("- one\n  - two\n\n    three", "- one\n  - two\n\n    three"),
        (" \n\t ", ""),
        ("", ""),
    ],
)
def test_what_is_stray_around_a_reply_is_stripped_and_nothing_inside(
    written: str, shown: str
) -> None:
    assert tidy(written) == shown


TEXTS = st.text(st.sampled_from(" \n\t\r\u3000ab-"), max_size=12) | st.text()


@settings(deadline=None)
@given(TEXTS)
def test_a_reply_shown_so_far_only_ever_grows(text: str) -> None:
    shown = [tidy(text[:length]) for length in range(len(text) + 1)]
    assert all(after.startswith(before) for before, after in pairwise(shown))


@settings(deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_tidying_touches_only_the_ends(before: str, inside: str, after: str) -> None:
    text = f"{before}x{inside}y{after}"
    shown = tidy(text)
    assert shown == shown.rstrip()
    assert f"x{inside}y" in shown
    head = text.rstrip().removesuffix(shown)
    assert not head.strip()
    assert not head or head.endswith("\n") or head.rpartition("\n")[2] == " "


async def test_the_prompt_that_is_shown_and_counted_is_the_one_that_the_engine_is_fed() -> None:
    engine = ScriptedEngine()
    updates = await collect(ask(chat_with(engine), "hi there"))
    [fed] = engine.prompts
    for update in updates:
        assert update.prompt_tokens == len(fed)
        assert update.prompt == fed.replace(STOP, "|") == "user: hi there|assistant: "


def chat_remembering(engine: ScriptedEngine, format: PromptFormat) -> tuple[Chat, CharTokens]:
    tokens = CharTokens()
    return Chat(engine, tokens, format, Gate(1, 0)), tokens


async def test_the_ids_of_a_reply_are_remembered_by_what_it_showed() -> None:
    chat, tokens = chat_remembering(BatchEngine(" Hel", f"lo {STOP}"), LineFormat())
    await collect(ask(chat))
    assert tokens.remembered == {"Hello": [ord(letter) for letter in " Hello "]}


async def test_a_stopped_reply_is_remembered_as_far_as_it_was_shown() -> None:
    chat, tokens = chat_remembering(BatchEngine("Hel", "lo"), LineFormat())
    async with aclosing(ask(chat)) as updates:
        async for update in updates:
            if update.text:
                break
    assert tokens.remembered == {"Hel": [ord(letter) for letter in "Hel"]}


@pytest.mark.parametrize(("echo", "opening"), [(True, "A story that"), (False, "")])
async def test_a_base_model_continues_the_text_to_the_letter(echo: bool, opening: str) -> None:
    engine = BatchEngine(" makes", f" me \n{STOP}")
    chat, tokens = chat_remembering(engine, Plain(echo=echo))
    updates = await collect(ask(chat, "A story that"))
    assert engine.prompts == ["A story that"]
    assert updates[-1].text == opening + " makes me \n"
    assert list(tokens.remembered) == [" makes me \n"]


async def test_who_finds_the_queue_full_costs_nothing() -> None:
    engine = ScriptedEngine(reading=60)
    chat = chat_with(engine, max_waiting=0)
    async with aclosing(ask(chat)) as updates:
        await anext(updates)
        # Even what is refused for its length is not looked at.
        with pytest.raises(QueueFull):
            await anext(ask(chat, "x" * 200_000))


async def test_what_the_engine_cannot_obey_is_refused_by_name_before_it_starts() -> None:
    engine = ScriptedEngine()
    for name, title in (("negative_prompt", "Negative prompt"), ("regex", "Regular expression")):
        with pytest.raises(BadRequest, match=f"^{title} cannot be used with the engine"):
            await anext(chat_with(engine).reply(rebuild([], "Hi", ""), Sampling(**{name: "x"})))
    assert engine.prompts == []


async def test_who_is_being_admitted_has_no_place_in_line_yet() -> None:
    begun, refuse = asyncio.Event(), asyncio.Event()

    class Strict(ScriptedEngine):
        async def admit(self, sampling: Sampling) -> None:
            begun.set()
            await refuse.wait()
            raise BadRequest("Regular expression takes too long to be kept to.", "regex")

    chat = chat_with(Strict(), max_waiting=0)
    refused = asyncio.ensure_future(anext(ask(chat)))
    async with asyncio.timeout(10):
        await begun.wait()
    assert chat.gate.size == 0
    refuse.set()
    with pytest.raises(BadRequest, match="takes too long"):
        await refused
    assert chat.gate.size == 0


async def test_a_reply_ends_before_its_stop_string_which_is_never_shown() -> None:
    engine = ScriptedEngine(lambda _: "one two STOP three", pace=0.001)
    replies = ask(chat_with(engine), "Hi", stop=("STOP",), max_new_tokens=50)
    shown = [update async for update in replies]
    assert not any("S" in update.text for update in shown)
    assert shown[-1].text == "one two"
    assert shown[-1].state == "finished"
    assert [update.stopped_by for update in shown if update.stopped_by] == ["STOP"]
    assert engine.active == 0


async def test_what_only_looked_like_a_stop_string_is_shown_at_the_end() -> None:
    engine = ScriptedEngine(lambda _: "one two ST")
    replies = ask(chat_with(engine), "Hi", stop=("STOP",), max_new_tokens=50)
    last = [update async for update in replies][-1]
    assert (last.text, last.stopped_by) == ("one two ST", "")


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
    updates = await collect(ask(chat_with(BatchEngine("", Cached(5), "a", Cached(9), f"b{STOP}"))))
    assert [update.cached_tokens for update in updates] == [None, None, *[5] * 5]
    assert updates[-1].text == "ab"


async def test_that_is_never_more_than_the_prompt_has() -> None:
    """Where another goes on with a reply, what is written of it is a part of its prompt."""
    *_, last = await collect(ask(chat_with(BatchEngine(Resumed(), Cached(999), f"a{STOP}"))))
    assert last.cached_tokens == last.prompt_tokens
