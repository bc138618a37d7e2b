"""Replies in a batch: what `model.generate` writes alone, whoever comes and goes meanwhile."""

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.engines.batched.attend import Attention, Flash
from chat.engines.batched.batcher import TOO_LONG, Batcher
from chat.engines.batched.pool import PoolCache
from chat.engines.process import Part
from chat.errors import FAILED
from chat.models.adapters import read
from chat.models.lora import Lora
from tests.support import lora, tiny_models
from tests.support.batched import (
    LENGTH,
    SOME,
    TEXT,
    TOKENS,
    VOCABULARY,
    Replies,
    alone,
    batcher,
    flash,
    fresh,
    job,
    written,
)
from tests.support.batches import greedy
from tests.support.examples import some

FAMILIES = [
    *("llama-2", "llama-3", "qwen2", "qwen2-window", "qwen3", "mistral", "gemma-3", "phi-3", "gpt2")
]
ATTENTION: dict[str, Callable[[], Attention | None]] = {
    "row by row": lambda: None,
    "all at once": lambda: Flash(TOKENS, flash),
}


@pytest.mark.parametrize(
    ("family", "attention"),
    [
        *((family, attention) for family in FAMILIES for attention in ATTENTION),
        *((family, "row by row") for family in tiny_models.POOLED),
    ],
)
def test_each_of_several_gets_what_it_gets_alone(family: str, attention: str) -> None:
    """Prompts of any length, longer than a part and than the window of those that have one."""
    many = batcher(fresh(family), TOKENS, attention=ATTENTION[attention]())
    jobs = [job(number, prompt, greedy(LENGTH)) for number, prompt in enumerate(SOME)]
    assert written(many, *jobs) == [alone(family, prompt, LENGTH) for prompt in SOME]


@pytest.mark.parametrize("family", FAMILIES)
@given(st.data())
@settings(max_examples=some(4))
def test_whoever_comes_and_goes_each_reply_is_the_one_it_gets_alone(
    family: str, data: st.DataObject
) -> None:
    """Joins, leaves, next turns, edits and retries, in any order, over what others have left."""
    replies = Replies(batcher(fresh(family), TOKENS))
    asked: dict[int, tuple[tuple[int, ...], int]] = {}
    texts = [TEXT[:6], TEXT[:33]]
    for number in range(data.draw(st.integers(2, 6))):
        text = data.draw(st.sampled_from(texts))
        prompt = (*text[: data.draw(st.sampled_from([len(text), 5]))], *TEXT[number : number + 3])
        tokens = data.draw(st.sampled_from([1, 7, LENGTH]))
        asked[number] = prompt, tokens
        replies.batcher.take(job(number, prompt, greedy(tokens)))
        texts.append((*prompt, *alone(family, prompt, tokens))[:90])
        for _ in range(data.draw(st.integers(0, 12))):
            replies.step()
        if data.draw(st.integers(0, 3)) == 0:
            gone = data.draw(st.sampled_from(sorted(asked)))
            replies.batcher.take(gone)
            if gone not in replies.ended:
                asked.pop(gone)
    found = replies.finish()
    for number, (prompt, tokens) in asked.items():
        assert found[number] == alone(family, prompt, tokens)


def test_a_conversation_goes_on_where_it_was_and_reads_only_what_is_new() -> None:
    many = batcher(fresh("llama-3"), TOKENS)
    read: list[int] = []
    run = many.run

    def counting(news: Any) -> Any:
        read.append(sum(len(new.ids) for new in news))
        return run(news)

    many.run = counting
    [reply] = written(many, job(1, TEXT[:30], greedy(5)))
    assert sum(read) == 30 + 4
    read.clear()
    prompt = (*TEXT[:30], *reply, 50, 51)
    assert written(many, job(2, prompt, greedy(5))) == [alone("llama-3", prompt, 5)]
    assert sum(read) == 3 + 4


def test_a_long_prompt_is_read_between_the_tokens_of_the_others() -> None:
    replies = Replies(batcher(fresh("llama-3"), TOKENS, part=16))
    replies.batcher.take(job(1, TEXT[:5], greedy(20)))
    replies.step()
    replies.batcher.take(job(2, TEXT[5:55], greedy(2)))
    before = len(replies.ids[1])
    for _ in range(3):
        assert {part.number for part in replies.step() if part.ids} == {1}
    assert len(replies.ids[1]) == before + 3
    assert {part.number for part in replies.step() if part.ids} == {1, 2}


def test_who_leaves_is_gone_with_the_next_step() -> None:
    replies = Replies(batcher(fresh("llama-3"), 50))
    for number in (1, 2):
        replies.batcher.take(job(number, TEXT[:20], greedy(20)))
    while not replies.ids.get(1):
        replies.step()
    replies.batcher.take(1)
    assert not [part for part in replies.step() if part.number == 1]
    assert replies.finish()[2] == alone("llama-3", TEXT[:20], 20)


def test_a_pool_too_small_for_two_answers_them_one_after_another() -> None:
    replies = Replies(batcher(fresh("llama-3"), 50))
    for number in (1, 2):
        replies.batcher.take(job(number, TEXT[number : number + 20], greedy(20)))
    while 1 not in replies.ended:
        assert {part.number for part in replies.step()} <= {1}
    assert replies.finish()[2] == alone("llama-3", TEXT[2:22], 20)


def test_what_the_pool_can_never_hold_is_refused_at_once() -> None:
    replies = Replies(batcher(fresh("llama-3"), 50))
    replies.batcher.take(job(1, TEXT[:40], greedy(20)))
    [part] = replies.step()
    assert (part.state, part.reason) == ("failed", TOO_LONG)
    assert not replies.batcher.busy


def test_no_more_than_so_many_at_once() -> None:
    replies = Replies(batcher(fresh("llama-3"), TOKENS, parallel=2))
    for number in range(3):
        replies.batcher.take(job(number, TEXT[:5], greedy(8)))
    assert {part.number for part in replies.step()} == {0, 1}
    assert len(replies.finish()[2]) == 8


def test_an_error_in_one_leaves_the_others_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    """An id that the model has not, in the same pass as two others."""
    replies = Replies(batcher(fresh("llama-3"), TOKENS))
    replies.batcher.take(job(1, TEXT[:5], greedy(12)))
    replies.step()
    replies.batcher.take(job(2, [5, VOCABULARY + 7], greedy(12)))
    replies.batcher.take(job(3, TEXT[:9], greedy(12)))
    found = replies.finish()
    assert (replies.ended[2].state, replies.ended[2].reason) == ("failed", FAILED)
    assert found[1] == alone("llama-3", TEXT[:5], 12)
    assert found[3] == alone("llama-3", TEXT[:9], 12)
    assert "IndexError" in caplog.text


def test_memory_that_runs_out_is_said_and_room_is_made() -> None:
    model = tiny_models.family("llama-3", VOCABULARY)

    def run_out(module: Any, args: Any, given: Any) -> None:
        if given["input_ids"].shape[1] > 10:
            raise torch.OutOfMemoryError

    replies = Replies(batcher(model, TOKENS))
    model.register_forward_pre_hook(run_out, with_kwargs=True)
    replies.batcher.take(job(1, TEXT[:5], greedy(12)))
    replies.step()
    replies.batcher.take(job(2, TEXT[5:25], greedy(12)))
    found = replies.finish()
    assert "ran out of memory" in replies.ended[2].reason
    assert found[1] == alone("llama-3", TEXT[:5], 12)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two adapters."""
    place = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(["tales", "poems"]):
        lora.write(place / name, tiny_models.llama(), seed)
    return place


def test_each_has_its_own_adapter_at_the_same_time(place: Path) -> None:
    names = ["tales", "poems", "none"]

    def adapted() -> Batcher:
        model = tiny_models.llama()
        own = Lora(model, read(f"{place / 'tales'},{place / 'poems'},none"))
        return batcher(model, 600, parallel=8, lora=own)

    jobs = [
        job(number, TEXT[:20], greedy(12).model_copy(update={"adapter": name}))
        for number, name in enumerate(names)
    ]
    right = [written(adapted(), one)[0] for one in jobs]
    assert len({tuple(reply) for reply in right}) == 3
    together = adapted()
    assert written(together, *jobs) == right
    again = [one._replace(number=10 + one.number) for one in jobs]
    assert written(together, *again) == right  # on what each has left


def test_two_texts_of_one_reply_get_room_wherever_earlier_ones_have_left_theirs() -> None:
    """The next turn is put where the last one was, which can be in the middle of the pool."""
    replies = Replies(batcher(fresh("llama-3"), 100))
    for number, begin in enumerate((0, 20)):
        replies.batcher.take(job(number, TEXT[begin : begin + 30], greedy(5)))
    replies.finish()
    prompt, sampling = TEXT[20:50], greedy(15, negative_prompt="a", guidance_scale=4)
    one = job(2, prompt, sampling, negative=TEXT[5:30])
    replies.batcher.take(one)
    for _ in range(40):
        replies.step()
    assert replies.ended[2].state == "done"
    assert replies.ids[2] == written(batcher(fresh("llama-3"), 600), one)[0]


def test_memory_that_runs_out_while_one_enters_is_its_own_affair(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many = batcher(fresh("llama-3"), TOKENS)
    replies = Replies(many)
    replies.batcher.take(job(1, TEXT[:20], greedy(12)))
    replies.step()
    replies.step()

    def run_out(*_: Any) -> None:
        raise torch.OutOfMemoryError

    with monkeypatch.context() as patch:
        patch.setattr(PoolCache, "copy", run_out)
        replies.batcher.take(job(2, TEXT[:20], greedy(12)))
        replies.step()
    assert "ran out of memory" in replies.ended[2].reason
    assert replies.finish()[1] == alone("llama-3", TEXT[:20], 12)
    whole = job(3, TEXT[:20], greedy(TOKENS - 20))
    assert len(written(many, whole)[0]) == TOKENS - 20  # nothing of the pool is lost


@pytest.mark.parametrize(
    ("already", "tokens"), [((9, 8, 7), 20), ((9, 8), 2), ((), 0)], ids=["stop", "full", "none"]
)
def test_a_reply_that_has_ended_gets_no_more(already: tuple[int, ...], tokens: int) -> None:
    """Nor does it wait for others."""
    replies = Replies(batcher(fresh("llama-3"), 50))
    replies.batcher.take(job(1, TEXT[:20], greedy(20)))
    replies.step()
    sampling = greedy(20).model_copy(update={"max_new_tokens": tokens})
    stop_ids = frozenset({7})
    replies.batcher.take(job(2, TEXT[:20], sampling, written=already, stop_ids=stop_ids))
    replies.step()
    assert replies.ended[2] == Part(2, [], "done")
    assert replies.finish()[1] == alone("llama-3", TEXT[:20], 20)


def test_each_is_tried_alone_without_what_the_pass_for_all_took() -> None:
    """Which is what they need, where that was too much memory."""
    model = tiny_models.family("llama-3", VOCABULARY)
    taken: list[weakref.ref[torch.Tensor]] = []

    def take(module: Any, args: Any, given: Any) -> None:
        assert not any(one() is not None for one in taken)
        if given["input_ids"].shape[1] > 1:
            much = torch.zeros(1)
            taken.append(weakref.ref(much))
            raise torch.OutOfMemoryError

    replies = Replies(batcher(model, TOKENS))
    for number in (1, 2):
        replies.batcher.take(job(number, TEXT[:1], greedy(12)))
    model.register_forward_pre_hook(take, with_kwargs=True)
    found = replies.finish()
    assert taken
    assert found == {number: alone("llama-3", TEXT[:1], 12) for number in (1, 2)}


@pytest.mark.parametrize(
    "texts",
    [
        {"prompt": [5, VOCABULARY + 7]},
        {"prompt": [-1]},
        {"prompt": []},
        {"prompt": [5], "negative": [VOCABULARY + 7]},
    ],
    ids=["beyond", "below", "nothing", "to keep away from"],
)
def test_what_the_model_cannot_read_does_not_get_to_it(texts: dict[str, list[int]]) -> None:
    """A GPU is lost with it, and so is the process."""
    many = batcher(fresh("llama-3"), TOKENS)
    read: list[int] = []
    run = many.run

    def watching(news: Any) -> Any:
        read.extend(id for new in news for id in new.ids)
        return run(news)

    many.run = watching
    replies = Replies(many)
    replies.batcher.take(job(1, TEXT[:5], greedy(12)))
    replies.batcher.take(job(2, sampling=greedy(12), **texts))
    replies.step()
    assert (replies.ended[2].state, replies.ended[2].reason) == ("failed", FAILED)
    assert replies.finish()[1] == alone("llama-3", TEXT[:5], 12)
    assert min(read) >= 0
    assert max(read) < VOCABULARY


def test_how_much_of_a_prompt_was_there_is_told_when_it_enters() -> None:
    """The last token is read in any case, for the first scores."""
    many = batcher(fresh("llama-2"), TOKENS)
    told = {}
    for number, prompt in enumerate([TEXT[:20], TEXT[:30], TEXT[:30], TEXT[50:]]):
        many.take(job(number, prompt, greedy(1)))
        while many.busy:
            told |= {part.number: part.cached for part in many.step() if part.cached is not None}
    assert told == {0: 0, 1: 20, 2: 29, 3: 0}
