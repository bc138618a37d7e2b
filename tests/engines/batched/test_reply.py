"""What chooses the tokens of a reply: each control does what it does with `model.generate`."""

from typing import Any

import pytest

from chat.core.engine import Scored
from chat.engines.transformers.engine import TransformersEngine
from chat.engines.transformers.guide import Guide
from tests.support import tiny_models
from tests.support.batched import LENGTH, SOME, VOCABULARY, batcher, fresh, job, written
from tests.support.batches import collect, greedy
from tests.support.tiny import chatml_tokenizer

SAMPLINGS = {
    "drawn": greedy(LENGTH, temperature=1.2, top_k=0, top_p=1.0, seed=3),
    "few": greedy(LENGTH, temperature=0.9, top_k=20, top_p=0.9, min_p=0.02, seed=3),
    "penalised": greedy(
        LENGTH, temperature=0.7, repetition_penalty=1.5, presence_penalty=1, frequency_penalty=-0.5
    ).model_copy(update={"seed": 5}),
    "greedy and penalised": greedy(LENGTH, repetition_penalty=1.5, frequency_penalty=1.5),
    "biased": greedy(LENGTH, logit_bias={"20": 9, "30": 8, "40": -100}, temperature=1, seed=1),
    "kept away": greedy(LENGTH, negative_prompt="a", guidance_scale=4),
    "long": greedy(LENGTH, min_new_tokens=18, temperature=1, seed=9),
}


@pytest.fixture(scope="module")
def engine() -> Any:
    """One reply at a time, by `model.generate`."""
    engine = TransformersEngine(tiny_models.family("llama-3", VOCABULARY), {7}, 512)
    yield engine
    engine.close()


@pytest.mark.parametrize("how", SAMPLINGS)
async def test_every_control_does_what_it_does_with_generate(
    engine: TransformersEngine, how: str
) -> None:
    """Each alone, and all at once with others between."""
    sampling = SAMPLINGS[how]
    negative = [9, 8, 7] if sampling.negative_prompt else []
    right = await collect(engine.generate(SOME[1], sampling, negative))
    one = job(1, SOME[1], sampling, negative=negative, stop_ids=engine.stop_ids)
    many = batcher(fresh("llama-3"), 600, parallel=8)
    assert written(many, one) == [right]
    others = [
        job(number, SOME[2], other, stop_ids=engine.stop_ids)
        for number, other in enumerate(SAMPLINGS.values(), start=2)
        if not other.negative_prompt
    ]
    assert written(many, others[0], one, *others[1:])[1] == right


async def test_log_probabilities_are_those_of_generate(engine: TransformersEngine) -> None:
    sampling = greedy(9, logprobs=True, top_logprobs=3, temperature=0.8, seed=2)
    right = await collect(engine.generate(SOME[1], sampling))
    many = batcher(fresh("llama-3"), 600)
    beside = job(2, SOME[3], greedy(9))
    found, _ = written(many, job(1, SOME[1], sampling, stop_ids=engine.stop_ids), beside)
    assert found == right
    for own, other in zip(found, right, strict=True):
        assert isinstance(own, Scored)
        assert isinstance(other, Scored)
        assert own.logprob == pytest.approx(other.logprob, abs=1e-4)
        assert [id for id, _ in own.top] == [id for id, _ in other.top]


TIED = {
    "regex": greedy(30, temperature=1, regex=r"\d{3}-[a-z]{2,9}\.", seed=3),
    "choices": greedy(30, temperature=1, choices=("yes", "no (really)"), seed=3),
    "schema": greedy(60, json_schema='{"type": "array", "items": {"type": "boolean"}}'),
}


@pytest.mark.parametrize("how", TIED)
async def test_a_reply_that_has_to_fit_is_the_one_of_generate(how: str) -> None:
    """Beside one that has not."""
    tokenizer, stop = chatml_tokenizer(), frozenset({chatml_tokenizer().eos_token_id})
    vocabulary = len(tokenizer)
    guide = Guide(tokenizer, vocabulary)
    engine = TransformersEngine(tiny_models.llama(vocab_size=vocabulary), stop, 512, guide=guide)
    right = await collect(engine.generate(SOME[1], TIED[how]))
    engine.close()
    many = batcher(tiny_models.llama(vocab_size=vocabulary), 600, guide=guide)
    free = job(2, SOME[2], greedy(30))
    assert written(many, job(1, SOME[1], TIED[how], stop_ids=stop), free)[0] == right


@pytest.mark.parametrize("how", SAMPLINGS)
@pytest.mark.parametrize("after", [1, 7])
def test_a_reply_that_goes_on_elsewhere_is_the_one_it_would_have_been(how: str, after: int) -> None:
    sampling = SAMPLINGS[how]
    negative = [9, 8, 7] if sampling.negative_prompt else []
    whole = job(1, SOME[1], sampling, negative=negative)
    [right] = written(batcher(fresh("llama-3"), 600), whole)
    rest = whole._replace(written=right[:after])
    assert written(batcher(fresh("llama-3"), 600), rest) == [right[after:]]
