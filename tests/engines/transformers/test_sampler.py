"""The sampler's draws beside the distribution of transformers' own warpers."""

import math

import pytest
import torch
from transformers.generation.logits_process import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from chat.core.sampling import Sampling
from chat.engines.transformers import sampler
from chat.engines.transformers.sampler import Penalties, Sampler

DRAWS, EVEN = 20_000, 2_000
TEXT = torch.tensor([[1, 5, 5, 17, 30]])
CPU = torch.device("cpu")


def scores(vocabulary: int = 300) -> torch.Tensor:
    """Return scores no two of which are equal, so that top-p has one right answer."""
    return torch.randn(1, vocabulary, generator=torch.Generator().manual_seed(3)) * 2


def shares(sampling: Sampling, scores: torch.Tensor) -> torch.Tensor:
    """Return the probability of each token as `generate(do_sample=True)` computes it."""
    warpers = LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
            TemperatureLogitsWarper(sampling.temperature),
        ]
    )
    if sampling.top_k:
        warpers.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        warpers.append(MinPLogitsWarper(sampling.min_p))
    return warpers(TEXT, scores.clone())[0].softmax(-1)


def draw(sampler: Sampler, scores: torch.Tensor) -> int:
    return int(sampler(TEXT, scores.clone()).argmax())


def times(sampler: Sampler, scores: torch.Tensor, draws: int) -> torch.Tensor:
    """Return how often each token is drawn."""
    drawn = torch.tensor([draw(sampler, scores) for _ in range(draws)])
    return torch.bincount(drawn, minlength=scores.shape[1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "repetition_penalty": 1.0},
        {"temperature": 1.3, "top_p": 0.95, "top_k": 0},
        {"temperature": 1.5, "top_p": 1.0, "top_k": 7, "repetition_penalty": 1.5},
        {"temperature": 1.5, "top_p": 1.0, "top_k": 0, "min_p": 0.1},
        {"temperature": 1.2, "min_p": 0.2},
        {"temperature": 1.0, "top_p": 0.5, "top_k": 1000, "repetition_penalty": 2.0},
    ],
    ids=str,
)
def test_each_token_has_the_share_of_all_numbers_that_transformers_gives_it(
    settings: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Sampling(**settings)
    given = scores()
    expected = shares(sampling, given)
    sampler = Sampler(sampling, CPU)
    numbers = iter((torch.arange(EVEN) + 0.5) / EVEN)
    monkeypatch.setattr(sampler, "_uniform", lambda: float(next(numbers)))
    drawn = times(sampler, given, EVEN)
    assert not drawn[expected == 0].any()
    # Of numbers that lie evenly, one more or less falls into a stretch of any length.
    assert float((drawn - EVEN * expected).abs().max()) < 1.01


@pytest.mark.slow
def test_20000_draws_follow_the_distribution_of_transformers() -> None:
    sampling = Sampling(seed=11)
    given = scores()
    expected = shares(sampling, given)
    drawn = times(Sampler(sampling, CPU), given, DRAWS)
    # The total variation between n draws and their distribution over k tokens is at most
    # sqrt(k / n) / 2 on average, and McDiarmid's inequality lets it exceed its average by
    # sqrt(log(1 / d) / 2n) with probability d: here one in a million.
    count = int((expected > 0).sum())
    bound = math.sqrt(count / DRAWS) / 2 + math.sqrt(math.log(1e6) / (2 * DRAWS))
    assert float((drawn / DRAWS - expected).abs().sum()) / 2 < bound


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("first", [1, 2, 64])
def test_top_p_alone_finds_the_same_tokens_however_it_starts(
    monkeypatch: pytest.MonkeyPatch, first: int, top_p: float
) -> None:
    monkeypatch.setattr(sampler, "FIRST", first)
    sampling = Sampling(top_k=0, top_p=top_p, temperature=1.5, repetition_penalty=1)
    given = scores()
    found, ids = Sampler(sampling, CPU)._candidates(given[0])
    expected = shares(sampling, given)
    assert set(ids[found > 0].tolist()) == set(expected.nonzero()[:, 0].tolist())


def test_all_that_are_as_likely_as_the_last_of_the_k_may_be_drawn() -> None:
    given = torch.tensor([[3.0, 2.0, 2.0, 2.0, 1.0]])
    sampler = Sampler(Sampling(seed=0, temperature=2.0, top_k=2, top_p=1.0), CPU)
    text = torch.tensor([[4]])
    drawn = {int(sampler(text, given.clone()).argmax()) for _ in range(200)}
    assert drawn == {0, 1, 2, 3}


def test_a_seed_repeats_its_draws_whatever_is_drawn_elsewhere() -> None:
    runs = []
    for elsewhere in range(2):
        torch.manual_seed(elsewhere)
        sampler = Sampler(Sampling(seed=5, temperature=1.5), CPU)
        runs.append([draw(sampler, scores()) for _ in range(20)])
    other = Sampler(Sampling(seed=6, temperature=1.5), CPU)
    assert runs[0] == runs[1] != [draw(other, scores()) for _ in range(20)]


def test_it_leaves_torchs_own_generator_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    draw(Sampler(Sampling(), CPU), scores())
    assert torch.equal(torch.rand(1), expected)


def test_without_a_seed_two_requests_differ() -> None:
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        sampler = Sampler(Sampling(temperature=2.0, top_k=0, top_p=1.0), CPU)
        runs.append([draw(sampler, scores()) for _ in range(30)])
    assert runs[0] != runs[1]


def test_penalties_are_taken_off_for_what_the_reply_has_and_not_for_its_prompt() -> None:
    found = Penalties(2, presence=0.5, frequency=0.25)(
        torch.tensor([[1, 2, 3, 4, 3]]), zeros := torch.zeros(1, 6)
    )
    assert found is zeros
    assert found.tolist() == [[0, 0, 0, -1.0, -0.75, 0]]
    assert not Penalties(2, 0.5, 0.25)(torch.tensor([[1, 2]]), torch.zeros(1, 6)).any()
