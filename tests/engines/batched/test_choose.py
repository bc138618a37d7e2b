"""The tokens of many replies at once: those that each is given by itself."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from chat.core.sampling import Sampling
from chat.engines.batched import choose
from chat.engines.batched.choose import UNSURE, Chooser
from chat.engines.batched.ranges import Range
from chat.engines.batched.reply import Reply
from tests.support.batched import batcher, fresh, job, written
from tests.support.batches import greedy

CPU = torch.device("cpu")
WORDS = 300
#: Ids that end a reply, of which one is in no vocabulary.
STOPS = frozenset({3, 4, WORDS + 9})

LIMITS = st.one_of(
    st.tuples(st.integers(1, 60), st.sampled_from([0.3, 0.9, 1.0])),
    st.tuples(st.just(0), st.sampled_from([0.01, 0.5, 0.9])),
)


@st.composite
def samplings(draw: st.DrawFn) -> Sampling:
    top_k, top_p = draw(LIMITS)
    return Sampling(
        max_new_tokens=9,
        temperature=draw(st.sampled_from([0, 0.3, 1.0, 1.7])),
        top_k=top_k,
        top_p=top_p,
        min_p=draw(st.sampled_from([0, 0.05, 0.4])),
        repetition_penalty=draw(st.sampled_from([1, 1, 0.8, 1.5])),
        min_new_tokens=draw(st.sampled_from([0, 2, 9])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def reply(sampling: Sampling, prompt: Sequence[int] = (5, 6, 5), slot: int = 0) -> Reply:
    ids = list(prompt)
    one = Range(0, len(ids) + sampling.max_new_tokens, ids=ids)
    return Reply(job(slot, prompt, sampling, stop_ids=STOPS), [one], CPU, None, slot)


def scores(seed: int, rows: int, coarse: int, words: int = WORDS) -> Tensor:
    """Return scores, many of them equal if they are `coarse`, as those of 16 bits are."""
    found = 3 * torch.randn(rows, words, generator=torch.Generator().manual_seed(seed))
    return (found * coarse).round() / coarse if coarse else found


def chosen(sampling: Sampling, given: Tensor) -> int:
    """Return the token that one reply gets."""
    return int(Chooser(1, CPU).choose([reply(sampling)], [given]))


@given(st.lists(samplings(), min_size=1, max_size=5), st.integers(0, 99), st.sampled_from([0, 4]))
def test_each_of_many_gets_the_token_that_it_gets_by_itself(
    how: list[Sampling], seed: int, coarse: int
) -> None:
    """Several in a row, of texts that get longer, with others in the slots before them."""
    chooser = Chooser(len(how), CPU)
    for turn in range(2):
        prompts = [range(10 * turn + at, 10 * turn + 3 * at + 1) for at in range(len(how))]
        both = list(zip(how, prompts, strict=True))
        together = [reply(one, prompt, slot) for slot, (one, prompt) in enumerate(both)]
        single = [reply(one, prompt) for one, prompt in both]
        for step in range(3):
            here = scores(seed + 7 * step + turn, len(how), coarse)
            before = here.clone()
            ids = chooser.choose(together, list(here)).tolist()
            assert torch.equal(here, before)
            for one, other, own, id in zip(together, single, here, ids, strict=True):
                right = int(other.chosen(own, None))
                limits = one.job.sampling
                sure = limits.greedy or (limits.top_k and not coarse)
                assert id == right or (id == UNSURE and not sure)
                # The number of a place is the same when it is asked for once more.
                assert int(one.chosen(own, None)) == right
                one.take(right, own)
                other.take(right, own)


def usual(**changes: Any) -> Sampling:
    values = {"temperature": 1, "top_k": 2, "top_p": 1, "repetition_penalty": 1, "seed": 1}
    return Sampling(**{**values, **changes})


@pytest.mark.parametrize(("tied", "sure"), [(3, True), (64, True), (65, False), (300, False)])
def test_more_that_are_as_likely_as_the_last_of_the_k_than_are_looked_at(
    tied: int, sure: bool
) -> None:
    given = torch.zeros(WORDS + 1)
    given[: tied + 1] = 5.0
    given[0] = 6
    assert (chosen(usual(), given) != UNSURE) == sure


def test_a_vocabulary_of_few_is_looked_at_whole() -> None:
    for sampling in (usual(top_k=30), usual(top_k=0, top_p=0.99), usual(top_k=2)):
        for seed in range(9):
            one, given = sampling.model_copy(update={"seed": seed}), torch.zeros(20)
            assert chosen(one, given) == int(reply(one).chosen(given, None))


@pytest.mark.parametrize(("top_p", "sure"), [(0.2, True), (0.22, False), (0.99, False)])
def test_a_share_that_those_looked_at_do_not_make_up(top_p: float, sure: bool) -> None:
    """Of 300 that are all but equally likely 64 make up 0.2133."""
    given = -torch.arange(WORDS) * 1e-6
    sampling = usual(top_k=0, top_p=top_p)
    assert (chosen(sampling, given) != UNSURE) == sure
    if sure:
        assert chosen(sampling, given) == int(reply(sampling).chosen(given, None))


def test_those_as_likely_as_the_last_that_is_looked_at_are_not_preferred() -> None:
    """Which of them are looked at is the kernel's choice."""
    given = torch.zeros(WORDS)
    assert chosen(usual(top_k=0, top_p=0.1), given) == UNSURE


def test_a_reply_does_not_end_before_it_may() -> None:
    given = -torch.arange(WORDS) * 1e-3
    given[3], given[8] = 50, 20
    for sampling in (usual(min_new_tokens=1), greedy(5, min_new_tokens=1)):
        one, chooser = reply(sampling), Chooser(1, CPU)
        assert int(chooser.choose([one], [given])) == 8
        one.take(8, given)
        assert int(chooser.choose([one], [given])) == 3


def test_greedy_ones_are_greedy_beside_drawn_ones() -> None:
    """Whatever the controls say of drawing."""
    given = torch.zeros(WORDS)
    given[7] = 1e-3
    hows = [usual(top_k=60, temperature=2), greedy(5, top_k=0, top_p=1), greedy(5, top_k=9)]
    replies = [reply(one, slot=slot) for slot, one in enumerate(hows)]
    assert Chooser(3, CPU).choose(replies, [given] * 3).tolist()[1:] == [7, 7]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, True),
        ({"temperature": 0, "repetition_penalty": 1.3}, True),
        ({"top_k": 0}, False),
        ({"top_k": 0, "top_p": 0.9}, True),
        ({"presence_penalty": 1}, False),
        ({"frequency_penalty": 1}, False),
        ({"logit_bias": {"5": 1}}, False),
        ({"min_new_tokens": 3}, True),
    ],
)
def test_which_replies_are_chosen_for_together(changes: dict[str, Any], told: bool) -> None:
    assert reply(usual(**changes)).usual == told


@pytest.mark.parametrize("fault", ["unsure", "failing"])
def test_what_is_not_found_together_is_found_by_itself(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """With the same random numbers."""
    hows = [usual(max_new_tokens=9, temperature=1.5, top_k=40, seed=seed) for seed in range(2)]
    jobs = [job(number, [5, 6], one) for number, one in enumerate([*hows, greedy(9)])]
    right = written(batcher(fresh("llama-3")), *jobs)

    def unsure(shares: Tensor, *rest: Tensor) -> Tensor:
        if fault == "failing":
            raise RuntimeError("no kernel image is available")
        return torch.full([len(shares)], UNSURE)

    monkeypatch.setattr(choose, "drawn", unsure)
    assert written(batcher(fresh("llama-3")), *jobs) == right


def test_each_is_penalised_for_its_own_text() -> None:
    """Whoever had its slot before."""
    how = usual(max_new_tokens=12, repetition_penalty=1.8, top_k=9)
    jobs = [job(number, range(5 * number + 3, 50), how) for number in range(4)]
    right = [written(batcher(fresh("llama-3")), one)[0] for one in jobs]
    assert written(batcher(fresh("llama-3"), parallel=2), *jobs) == right
