"""What every engine promises (`chat.core.engine`), and the stand-in for one too."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
import torch

from chat.core.engine import Engine, Scored
from chat.core.sampling import OPTIONAL
from chat.engines.registry import ENGINES
from chat.errors import FAILED, EngineError
from tests.engines.contract.subjects import PROMPT, SUBJECTS, WRITTEN, Subject
from tests.support.batches import collect, first, greedy

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
    "subject",
    ["transformers", "zero_gpu", "openvino", "batched", "server"],
    indirect=True,
    scope="module",
)

#: For those that say how likely a token was; that say so of the likeliest in its place, too;
#: whose model can be asked beside them; and that take biases.
scoring = pytest.mark.parametrize("subject", SUBJECTS, indirect=True, scope="module")
ranking = pytest.mark.parametrize(
    "subject",
    ["transformers", "loop", "zero_gpu", "batched", "server", "scripted"],
    indirect=True,
    scope="module",
)
passing = pytest.mark.parametrize(
    "subject",
    ["transformers", "loop", "zero_gpu", "batched", "server"],
    indirect=True,
    scope="module",
)
biasing = pytest.mark.parametrize(
    "subject", ["transformers", "zero_gpu", "batched", "server"], indirect=True, scope="module"
)


@pytest.fixture(scope="module")
def reply(subject: Subject) -> list[int]:
    """The first 400 tokens that follow `PROMPT`."""
    return asyncio.run(collect(subject.engine.generate(PROMPT, greedy(400))))


def scored(id: int) -> Scored:
    assert isinstance(id, Scored)
    return id


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
    threads, children = set(threading.enumerate()), subject.children()
    engine = subject.make({subject.never})
    assert asyncio.run(collect(engine.generate(PROMPT, greedy(5)))) == reply[:5]
    engine.close()
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=subject.ending)
    assert set(threading.enumerate()) <= threads
    assert subject.children() == children


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
    "subject",
    ["transformers", "loop", "zero_gpu", "openvino", "batched", "server"],
    indirect=True,
    scope="module",
)
def test_the_window_is_at_most_what_was_asked_for_and_what_the_model_was_trained_for(
    subject: Subject,
) -> None:
    engine = subject.make({subject.never}, window=100)
    engine.close()
    assert engine.window == 100
    assert subject.engine.window == 512  # where 4096 were asked for


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
async def test_a_reply_does_not_end_before_its_shortest_length(
    subject: Subject, reply: list[int]
) -> None:
    engine = subject.make({reply[0], subject.never})
    for temperature, top_k in ((0, 50), (1, 1)):
        sampling = greedy(20, temperature=temperature, top_k=top_k)
        assert await collect(engine.generate(PROMPT, sampling)) == reply[:1]
        at_least = sampling.model_copy(update={"min_new_tokens": 15})
        longer = await collect(engine.generate(PROMPT, at_least))
        assert len(longer) >= 15
        assert not engine.stop_ids & {*longer[:14]}
    engine.close()


@scoring
async def test_each_token_comes_with_its_log_probability_if_that_is_asked_for(
    subject: Subject, reply: list[int]
) -> None:
    assert "logprobs" in subject.engine.supports
    assert {type(id) for id in reply} == {int}
    found = await collect(subject.engine.generate(PROMPT, greedy(30, logprobs=True)))
    assert found == reply[:30]
    assert all(isinstance(id, Scored) and id.logprob < 0 and id.top == () for id in found)


@ranking
@pytest.mark.parametrize("top", [1, 20])
async def test_the_likeliest_tokens_come_with_it_the_likeliest_first(
    subject: Subject, reply: list[int], top: int
) -> None:
    assert "top_logprobs" in subject.engine.supports
    sampling = greedy(30, logprobs=True, top_logprobs=top)
    found = [scored(id) for id in await collect(subject.engine.generate(PROMPT, sampling))]
    assert found == reply[:30]
    for id in found:
        assert id.top[0] == (id, id.logprob)
        assert len(dict(id.top)) == top
        assert sorted(id.top, key=lambda one: -one[1]) == list(id.top)


#: Whatever makes another token of it.
CHANGED = {
    "greedy": {},
    "drawn": {"temperature": 1.7, "top_k": 0, "top_p": 0.8, "min_p": 0.01},
    "penalised": {"repetition_penalty": 1.8, "presence_penalty": 2, "frequency_penalty": 1},
    "drawn and penalised": {"temperature": 0.4, "repetition_penalty": 2, "presence_penalty": -2},
    "biased": {"logit_bias": {"20": 100, "30": 100, "40": -100}, "frequency_penalty": 2},
    "long": {"min_new_tokens": 20},
    "kept away": {"negative_prompt": "a", "guidance_scale": 4},
}


@passing
@pytest.mark.parametrize("how", CHANGED)
async def test_log_probabilities_are_those_of_a_plain_forward_pass(
    subject: Subject, how: str
) -> None:
    sampling = greedy(25, logprobs=True, top_logprobs=5, seed=1, **CHANGED[how])
    negative = [9, 8, 7] if sampling.negative_prompt else []
    batches = subject.engine.generate(PROMPT, sampling, negative)
    found = [scored(id) for id in await collect(batches)]
    assert len(found) == 25
    right = subject.logprobs([*PROMPT, *found])[len(PROMPT) - 1 : -1]
    likeliest, ids = right.topk(5)
    assert [[one for one, _ in id.top] for id in found] == ids.tolist()
    close = {"atol": 1e-4, "rtol": 0}
    own = right.gather(1, torch.tensor(found)[:, None])[:, 0]
    torch.testing.assert_close(torch.tensor([id.logprob for id in found]), own, **close)
    given = torch.tensor([[logprob for _, logprob in id.top] for id in found])
    torch.testing.assert_close(given, likeliest, **close)


@biasing
@pytest.mark.parametrize("temperature", [0, 1.5])
async def test_what_is_biased_by_100_is_all_but_forbidden_or_forced(
    subject: Subject, reply: list[int], temperature: float
) -> None:
    assert "logit_bias" in subject.engine.supports
    some = sorted({*reply})[:40]

    async def write(biases: dict[int, int]) -> set[int]:
        sampling = greedy(40, temperature=temperature, top_k=0, top_p=1, logit_bias=biases)
        return {*await collect(subject.engine.generate(PROMPT, sampling))}

    assert not await write(dict.fromkeys(some, -100)) & {*some}
    assert await write(dict.fromkeys(some, 100)) <= {*some}
    assert await write({some[3]: 100, 10**9: 100}) == {some[3]}


@biasing
async def test_a_bias_is_added_to_the_score(subject: Subject) -> None:
    likeliest, ids = subject.logprobs(PROMPT)[-1].topk(2)
    gap = float(likeliest[0] - likeliest[1])
    for bias, chosen in ((gap - 0.01, ids[0]), (gap + 0.01, ids[1])):
        sampling = greedy(1, logit_bias={int(ids[1]): bias})
        assert await collect(subject.engine.generate(PROMPT, sampling)) == [chosen]


@biasing
async def test_a_forced_end_waits_for_the_shortest_length(subject: Subject) -> None:
    sampling = greedy(20, min_new_tokens=7, logit_bias={subject.never: 100})
    ids = await collect(subject.engine.generate(PROMPT, sampling))
    assert ids.index(subject.never) == len(ids) - 1 == 7
