"""What every engine promises (`chat.core.engine`), and the stand-in for one too."""

import asyncio
import random
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from chat.core.engine import Engine
from chat.core.sampling import OPTIONAL
from chat.engines.registry import ENGINES
from chat.errors import FAILED, EngineError
from tests.engines.contract.subjects import PROMPT, SUBJECTS, WRITTEN, Subject, greedy

LONG = [10 + place % 100 for place in range(200)]


def test_every_engine_is_held_to_it() -> None:
    assert set(ENGINES) <= set(SUBJECTS)


@pytest.fixture(scope="module", params=SUBJECTS)
def subject(request: pytest.FixtureRequest, folder: Path) -> Iterator[Subject]:
    subject = SUBJECTS[request.param](folder)
    yield subject
    subject.close()


#: For those that draw tokens; the others always take the likeliest one.
drawing = pytest.mark.parametrize(
    "subject", ["transformers", "zero_gpu", "openvino"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def reply(subject: Subject) -> list[int]:
    """The first 400 tokens that follow `PROMPT`."""
    return asyncio.run(collect(subject.engine.generate(PROMPT, greedy(400))))


async def collect(batches: AsyncGenerator[list[int]]) -> list[int]:
    return [id async for ids in batches for id in ids]


async def first(batches: AsyncGenerator[list[int]]) -> list[int]:
    """Return the first ids that come."""
    async for ids in batches:
        if ids:
            return ids
    raise AssertionError("it ended without a token")


async def follow_on(engine: Engine, reply: list[int]) -> None:
    """See that the next prompt gets what it gets at any other time."""
    assert engine.state == "ready"
    assert await collect(engine.generate(PROMPT, greedy(5))) == reply[:5]


def test_it_says_what_it_can_do(subject: Subject) -> None:
    engine = subject.engine
    assert engine.parallel >= 1
    assert engine.window >= 64
    assert engine.stop_ids
    assert engine.supports <= set(OPTIONAL)
    assert engine.state == "ready"


async def test_a_reply_comes_in_order_and_is_as_long_as_it_may_be(
    subject: Subject, reply: list[int]
) -> None:
    assert len(reply) == 400
    right = subject.reference(PROMPT, 400)
    assert right in (None, reply)
    for tokens in (1, 2, 30):
        assert await collect(subject.engine.generate(PROMPT, greedy(tokens))) == reply[:tokens]


async def test_it_ends_with_a_stop_id_which_is_given_too(
    subject: Subject, reply: list[int]
) -> None:
    engine, expected = subject.stopping(reply)
    assert expected[-1] in engine.stop_ids
    assert await collect(engine.generate(PROMPT, greedy(50))) == expected
    engine.close()


async def test_ids_come_while_it_is_written_and_not_at_the_end(subject: Subject) -> None:
    most = 0
    for _ in range(5):  # a busy machine may hold them up now and then, but not each time
        batches = [ids async for ids in subject.engine.generate(PROMPT, greedy(300)) if ids]
        assert sum(map(len, batches)) == 300
        most = max(most, len(batches))
    assert most > 10


async def test_each_of_many_at_once_gets_what_it_gets_alone(subject: Subject) -> None:
    prompts = [LONG[-3 - 12 * number :] for number in range(subject.people)]
    engine = subject.engine
    alone = [await collect(engine.generate(prompt, greedy(60))) for prompt in prompts]
    together = (collect(engine.generate(prompt, greedy(60))) for prompt in prompts)
    assert await asyncio.gather(*together) == alone
    right = [subject.reference(prompt, 60) for prompt in prompts]
    assert right in ([None] * len(prompts), alone)


async def test_who_waits_hears_now_and_then_that_there_is_nothing_yet(
    subject: Subject, reply: list[int]
) -> None:
    batches = subject.engine.generate(PROMPT, greedy(5))
    with subject.held():
        assert [await anext(batches), await anext(batches)] == [[], []]
    assert await collect(batches) == reply[:5]


async def test_closing_ends_the_work_and_makes_room_for_the_next(
    subject: Subject, reply: list[int]
) -> None:
    with subject.held_after(passes=3):
        async with aclosing(subject.engine.generate(PROMPT, greedy(400))) as batches:
            await first(batches)
            assert await asyncio.to_thread(subject.wait_until_held)
            before = subject.passes()
    await follow_on(subject.engine, reply)
    assert subject.passes() <= before + subject.late + 5


async def test_closing_before_the_first_token_ends_the_work_too(
    subject: Subject, reply: list[int]
) -> None:
    before = subject.passes()
    batches = subject.engine.generate(LONG, greedy(300))
    with subject.held():
        assert await anext(batches) == []
        await batches.aclose()
    await follow_on(subject.engine, reply)
    assert subject.passes() <= before + subject.late + 1 + 5


async def test_an_error_is_one_sentence_and_the_next_prompt_works(
    subject: Subject, reply: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    with subject.failing(tokens=5) as sampling:
        for _ in range(2):
            with pytest.raises(EngineError) as caught:
                await collect(subject.engine.generate(PROMPT, sampling))
    assert str(caught.value) in (FAILED, "The script failed.")
    assert WRITTEN not in caplog.text
    await follow_on(subject.engine, reply)


async def test_100_that_leave_at_any_moment_leave_nothing_behind(
    subject: Subject, reply: list[int]
) -> None:
    chance = random.Random(1)
    places = asyncio.Semaphore(subject.people)

    async def leave(number: int) -> None:
        async with places:
            prompt = LONG[-1 - number :]
            async with aclosing(subject.engine.generate(prompt, greedy(200))) as batches:
                for _ in range(chance.randrange(4)):
                    await anext(batches, None)

    async with asyncio.timeout(60):
        await asyncio.gather(*(leave(number) for number in range(100)))
        await follow_on(subject.engine, reply)


def test_closing_the_engine_gives_back_what_it_took(subject: Subject, reply: list[int]) -> None:
    threads, children = threading.active_count(), subject.children()
    engine = subject.make({subject.never})
    assert asyncio.run(collect(engine.generate(PROMPT, greedy(5)))) == reply[:5]
    engine.close()
    assert (threading.active_count(), subject.children()) == (threads, children)


async def test_who_is_answered_while_the_engine_is_closed_hears_that_it_ended(
    subject: Subject,
) -> None:
    engine = subject.make({subject.never})
    batches = engine.generate(PROMPT, greedy(400))
    await first(batches)
    await asyncio.to_thread(engine.close)
    rest = asyncio.create_task(collect(batches))
    ended, _ = await asyncio.wait([rest], timeout=10)
    assert ended
    assert rest.exception() is None or isinstance(rest.exception(), EngineError)


@pytest.mark.parametrize(
    "subject", ["transformers", "loop", "zero_gpu", "openvino"], indirect=True, scope="module"
)
@pytest.mark.parametrize("window", [100, 4096])
def test_the_window_is_at_most_what_was_asked_for_and_what_the_model_was_trained_for(
    subject: Subject, window: int
) -> None:
    engine = subject.make({subject.never}, window=window)
    engine.close()
    assert engine.window == min(window, 512)


@drawing
async def test_drawing_from_one_token_is_greedy(subject: Subject, reply: list[int]) -> None:
    sampling = greedy(12, temperature=1.5, top_k=1)
    assert await collect(subject.engine.generate(PROMPT, sampling)) == reply[:12]


@drawing
async def test_a_seed_repeats_a_reply_and_without_one_each_is_drawn_anew(
    subject: Subject,
) -> None:
    async def draw(seed: int | None) -> list[int]:
        sampling = greedy(20, temperature=1.0, top_k=0, top_p=1.0, seed=seed)
        return await collect(subject.engine.generate(PROMPT, sampling))

    assert await draw(3) == await draw(3)
    assert await draw(3) != await draw(4)
    assert await draw(None) != await draw(None)


@drawing
@pytest.mark.parametrize("temperature", [0, 1])
async def test_a_reply_does_not_end_before_its_shortest_length(
    subject: Subject, reply: list[int], temperature: float
) -> None:
    engine = subject.make({reply[0], subject.never})
    sampling = greedy(20, temperature=temperature, top_k=1 if temperature else 50)
    assert await collect(engine.generate(PROMPT, sampling)) == reply[:1]
    at_least = sampling.model_copy(update={"min_new_tokens": 15})
    longer = await collect(engine.generate(PROMPT, at_least))
    engine.close()
    assert len(longer) >= 15
    assert not engine.stop_ids & {*longer[:14]}
