"""Tokens that are guessed: they change no reply, and save passes where they are right."""

from collections.abc import Callable
from typing import Any

import pytest
from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.batched.drafts import Assistant, Lookup
from tests.engines.batched.test_reply import SAMPLINGS
from tests.support import tiny_models
from tests.support.batched import (
    LENGTH,
    SOME,
    TEXT,
    VOCABULARY,
    Replies,
    alone,
    batcher,
    fresh,
    job,
    pooled,
    written,
)
from tests.support.batches import greedy


def assistant(other: PreTrainedModel, part: int = 16) -> Assistant:
    return Assistant(*pooled(other, 600), part, 512)


DRAFTERS: dict[str, Callable[[], Any]] = {
    "lookup": lambda: Lookup(5),
    "the same": lambda: assistant(tiny_models.family("llama-3", VOCABULARY)),
    "another": lambda: assistant(tiny_models.llama()),
    "another, with a window": lambda: assistant(tiny_models.sliding(), part=8),
}
#: A text that repeats itself.
AGAIN = TEXT[:12] * 3


@pytest.mark.parametrize("how", ["greedy", "drawn", "few", "penalised", "long"])
@pytest.mark.parametrize("drafter", DRAFTERS)
def test_what_is_guessed_changes_no_reply(drafter: str, how: str) -> None:
    sampling: Sampling = {"greedy": greedy(LENGTH), **SAMPLINGS}[how]
    drafting = batcher(fresh("llama-3"), 600, drafter=DRAFTERS[drafter]())
    usual = batcher(fresh("llama-3"), 600)
    for turn in range(2):  # and on what the first one has left
        jobs = [
            job(10 * turn + number, prompt, sampling)
            for number, prompt in enumerate([AGAIN, SOME[1], (*AGAIN, 4, 5)])
        ]
        assert written(drafting, *jobs) == written(usual, *jobs)


def test_what_is_guessed_right_saves_passes() -> None:
    drafting = batcher(fresh("llama-3"), 600, drafter=DRAFTERS["the same"]())
    replies = Replies(drafting)
    replies.batcher.take(job(1, TEXT[:10], greedy(LENGTH)))
    steps = 0
    while replies.batcher.busy:
        replies.step()
        steps += 1
    assert replies.ids[1] == alone("llama-3", TEXT[:10], LENGTH)
    assert steps < LENGTH / 3


def test_an_assistant_reads_nothing_of_a_text_beyond_its_window() -> None:
    other, read = tiny_models.llama(), list[Any]()
    drafter = Assistant(*pooled(other, 600), 8, len(AGAIN))
    other.register_forward_pre_hook(lambda module, given: read.append(module))
    drafting = batcher(fresh("llama-3"), 600, drafter=drafter)
    assert written(drafting, job(1, AGAIN, greedy(9))) == [alone("llama-3", AGAIN, 9)]
    assert not read


def test_an_assistant_that_fails_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    other = tiny_models.llama()
    drafter = assistant(other)

    def fail(*_: Any) -> None:
        raise ValueError

    other.register_forward_pre_hook(fail)
    drafting = batcher(fresh("llama-3"), 600, drafter=drafter)
    assert written(drafting, job(1, AGAIN, greedy(9))) == [alone("llama-3", AGAIN, 9)]
    assert "Nothing is guessed any more" in caplog.text


def test_an_assistant_goes_on_after_an_error_in_one_reply(caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_models.family("llama-3", VOCABULARY)
    drafting = batcher(model, 600, drafter=DRAFTERS["the same"]())
    failed = 0

    def fail(module: Any, args: Any, given: Any) -> None:
        nonlocal failed
        if not failed and given["input_ids"].shape[1] > 8:
            failed += 1
            raise ValueError

    model.register_forward_pre_hook(fail, with_kwargs=True)
    jobs = [job(number, TEXT[number : number + 3], greedy(LENGTH)) for number in (1, 2)]
    right = [alone("llama-3", tuple(one.prompt), LENGTH) for one in jobs]
    assert written(drafting, *jobs) == right
    assert failed
    assert "Nothing is guessed" not in caplog.text
