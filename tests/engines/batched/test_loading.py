"""From a plan to what answers: by what room there is, and only if it gives what it should."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from chat.engines import room
from chat.engines.batched import graphs, loading
from chat.engines.batched.attend import Flash, RowByRow
from chat.engines.batched.wire import Plan
from chat.errors import ModelError, UnfitModel
from tests.support import tiny_models
from tests.support.batched import VOCABULARY, flash, fresh, job, written
from tests.support.batches import greedy

PLAN = Plan(Path(), Path(), 512, loader="tests.support.batched:tiny")


def free(bytes: int) -> Any:
    return lambda needed: bytes


def test_what_there_is_is_said() -> None:
    batcher, ready = loading.load(PLAN._replace(parallel=3))
    assert (ready.window, ready.parallel) == (512, 3)
    assert ready.pool_tokens == 2 * 3 * 512
    # Two layers of two heads of keys and values, eight numbers of 64 bits each; a place to spare.
    assert ready.pool_bytes == (ready.pool_tokens + 1) * 2 * 2 * 2 * 8 * 8
    assert (ready.attention, ready.graphs, ready.adapters) == ("RowByRow", (), ())
    assert len(written(batcher, job(1, [5, 6], greedy(7)))[0]) == 7


@pytest.mark.parametrize(("tokens", "parallel"), [(600, 2), (1024, 4), (3000, 11), (10**6, 16)])
def test_how_many_at_once_follows_from_the_room(
    monkeypatch: pytest.MonkeyPatch, tokens: int, parallel: int
) -> None:
    per_token = 2 * 2 * 2 * 8 * 8
    monkeypatch.setattr(loading, "free_memory", free(tokens * per_token * 4))
    monkeypatch.setattr(room, "FEWEST_TOKENS", 500)
    _, ready = loading.load(PLAN)
    assert ready.parallel == parallel
    assert ready.pool_tokens == min(tokens, 16 * 512)


def test_a_window_is_no_longer_than_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    _, ready = loading.load(PLAN._replace(tokens=300))
    assert (ready.window, ready.parallel) == (300, 2)


def test_too_little_memory_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "free_memory", free(10_000))
    with pytest.raises(ModelError, match=r"^There is not enough memory .* 0\.0 GB have to be"):
        loading.load(PLAN)


@pytest.mark.parametrize("family", ["gpt-oss", "qwen3-next", "mamba", "phi-3-long"])
def test_what_attends_in_another_way_is_refused(family: str) -> None:
    """Sinks, states, and keys that change with the length of a text."""
    with pytest.raises(UnfitModel, match=r"^its attention is of another kind$"):
        loading.pooled(loading.tried(fresh(family)), 100)


def test_weights_that_are_no_numbers_are_refused() -> None:
    model = tiny_models.llama()
    with torch.no_grad():
        model.lm_head.weight[3] = torch.nan
    with pytest.raises(ModelError, match="computes no numbers"):
        loading.tried(model)


def on_a_newer_card(monkeypatch: pytest.MonkeyPatch, attend: Any) -> None:
    monkeypatch.setattr(loading, "newer_card", lambda device: True)
    monkeypatch.setattr(loading, "Flash", lambda tokens: Flash(tokens, attend))


def test_all_ranges_at_once_where_the_card_can(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_newer_card(monkeypatch, flash)
    passes, _ = loading.pooled(loading.tried(fresh("qwen3")), 100)
    assert isinstance(passes.attention, Flash)


def astray(*given: Any, **named: Any) -> Any:
    """Do what a kernel does that forgets how long a range is."""
    lengths = named["seqused_k"].clamp(max=5)
    return flash(*given, **{**named, "seqused_k": lengths.maximum(given[3].diff())})


def failing(*given: Any, **named: Any) -> Any:
    raise RuntimeError("no kernel image is available")


@pytest.mark.parametrize("attend", [astray, failing])
def test_a_quicker_way_that_gives_something_else_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, attend: Any
) -> None:
    on_a_newer_card(monkeypatch, attend)
    passes, _ = loading.pooled(loading.tried(fresh("qwen3")), 100)
    assert isinstance(passes.attention, RowByRow)
    what = "fails here (RuntimeError: no kernel image is available)."
    assert (what in caplog.text) == (attend is failing)


def test_steps_that_cannot_be_captured_are_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a CPU cannot."""
    on_a_newer_card(monkeypatch, flash)
    batcher, ready = loading.load(PLAN)
    assert (ready.attention, ready.graphs) == ("Flash", ())
    assert "Without CUDA graphs" in caplog.text
    assert len(written(batcher, job(1, [5, 6], greedy(7)))[0]) == 7


def test_a_card_takes_the_quicker_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    asked = list[Any]()
    for name in ("linear.quicken", "norms.fuse"):
        monkeypatch.setattr(f"chat.engines.batched.{name}", asked.append)
    model = fresh("qwen3")
    loading.tried(model)
    assert asked == []
    on_a_newer_card(monkeypatch, flash)
    loading.tried(model)
    assert asked == [model, model]


def test_a_card_that_cannot_keeps_the_kernels_that_come_along(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr("chat.engines.batched.linear.quicken", failing)
    on_a_newer_card(monkeypatch, flash)
    passes, _ = loading.pooled(loading.tried(fresh("qwen3").float()), 100)
    assert isinstance(passes.attention, Flash)
    assert "more slowly (RuntimeError: no kernel image is available)." in caplog.text


def test_ids_that_a_model_has_not_are_not_tried() -> None:
    assert max(loading.TRIED) < VOCABULARY
    loading.tried(tiny_models.llama(vocab_size=20))


@pytest.mark.parametrize("stale", [False, True], ids=["right", "stale"])
def test_steps_that_give_something_else_when_repeated_are_run_one_by_one(
    monkeypatch: pytest.MonkeyPatch, stale: bool
) -> None:
    on_a_newer_card(monkeypatch, flash)

    def captured(step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        scores = step()
        return lambda: scores if stale else step()

    monkeypatch.setattr(graphs, "captured", captured)
    batcher, ready = loading.load(PLAN._replace(parallel=3))
    assert ready.graphs == (() if stale else (1, 2, 4))
    [found] = written(batcher, job(1, [5, 6], greedy(7)))
    assert [found] == written(loading.load(PLAN)[0], job(1, [5, 6], greedy(7)))
