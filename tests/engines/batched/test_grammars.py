"""Grammars in the batched engine: nobody waits in a step for one, and none is left behind."""

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from chat.core.sampling import Sampling
from chat.engines.process import Part
from chat.engines.transformers import guide as module
from chat.engines.transformers.guide import Compiled, Guide
from tests.support import tiny_models
from tests.support.batched import SOME, Replies, batcher, job
from tests.support.batches import greedy
from tests.support.tiny import chatml_tokenizer

TOKENIZER = chatml_tokenizer()
VOCABULARY = len(TOKENIZER)
STOP = frozenset({TOKENIZER.eos_token_id})
TIED = greedy(30, regex="yes|no")


class Slow(Guide):
    """Compiles when it may."""

    def __init__(self) -> None:
        super().__init__(TOKENIZER, VOCABULARY)
        self.may = threading.Event()
        self.begun = threading.Event()
        self.made: list[weakref.ref[Compiled]] = []

    def compiled(self, sampling: Sampling) -> Compiled:
        self.begun.set()
        assert self.may.wait(20)
        found = super().compiled(sampling)
        self.made.append(weakref.ref(found))
        return found


@pytest.fixture
def slow() -> Iterator[Slow]:
    slow = Slow()
    yield slow
    slow.may.set()


def replies(guide: Guide, **options: Any) -> Replies:
    return Replies(batcher(tiny_models.llama(vocab_size=VOCABULARY), 600, guide=guide, **options))


def test_nobody_waits_in_a_step_for_a_grammar(slow: Slow) -> None:
    many = replies(slow)
    many.batcher.take(job(1, SOME[1], TIED, stop_ids=STOP))
    many.batcher.take(job(2, SOME[2], greedy(30)))
    assert slow.begun.wait(20)
    while 2 not in many.ended:
        assert {part.number for part in many.step()} <= {2}
    assert len(many.ids[2]) == 30
    slow.may.set()
    text = TOKENIZER.decode(many.finish()[1], skip_special_tokens=True)
    assert text in ("yes", "no")


@pytest.mark.parametrize("temperature", [0, 1])
def test_a_reply_that_fits_ends_before_its_shortest_length(temperature: float) -> None:
    many = replies(Guide(TOKENIZER, VOCABULARY))
    short = greedy(30, regex="yes|no", min_new_tokens=20, temperature=temperature)
    long = greedy(30, regex="[a-z ]*", min_new_tokens=20, temperature=temperature)
    for number, sampling in enumerate((short, long), 1):
        many.batcher.take(job(number, SOME[1], sampling, stop_ids=STOP))
    written = many.finish()
    assert TOKENIZER.decode(written[1], skip_special_tokens=True) in ("yes", "no")
    assert len(written[2]) >= 20


def test_who_leaves_while_a_grammar_is_compiled_never_runs(slow: Slow) -> None:
    many = replies(slow)
    for number in (1, 2):
        many.batcher.take(job(number, SOME[1], TIED, stop_ids=STOP))
    assert slow.begun.wait(20)
    for number in (1, 2):
        many.batcher.take(number)
    assert not many.batcher.busy
    slow.may.set()
    many.batcher.take(job(3, SOME[1], TIED, stop_ids=STOP))
    assert {*many.finish()} == {3}
    assert len(slow.made) == 2, "what has not begun never does"


def test_what_is_to_go_on_where_nothing_is_left_waits_for_no_grammar(slow: Slow) -> None:
    many = replies(slow)
    done = job(1, SOME[1], greedy(3, regex="yes|no"), stop_ids=STOP, written=[5, 6, 7])
    many.batcher.take(done)
    assert many.step() == [Part(1, [], "done")]
    assert not many.batcher.busy


def test_it_steps_without_a_pause_to_speak_of_while_it_only_compiles(slow: Slow) -> None:
    """So that what cancels a request is heard, and the process shows that it is alive."""
    many = replies(slow)
    many.batcher.take(job(1, SOME[1], TIED, stop_ids=STOP))
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(many.step).result(5) == []
    assert many.batcher.busy


def test_nothing_is_kept_of_a_grammar_once_its_reply_has_ended(slow: Slow) -> None:
    slow.may.set()
    many = replies(slow)
    for number in range(6):
        many.batcher.take(job(number, SOME[1], TIED, stop_ids=STOP))
    many.finish()
    assert len(slow.made) == 6
    assert not any(made() for made in slow.made)


def test_a_grammar_that_is_too_much_is_refused_in_a_sentence_and_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LIMITS", module.LLParserLimits(initial_lexer_fuel=1))
    many = replies(Guide(TOKENIZER, VOCABULARY))
    many.batcher.take(job(1, SOME[1], TIED, stop_ids=STOP))
    many.batcher.take(job(2, SOME[2], greedy(5)))
    found = many.finish()
    assert many.ended[1].state == "failed"
    assert "takes too long, or too much memory" in many.ended[1].reason
    assert len(found[2]) == 5
