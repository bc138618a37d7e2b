"""chat.engines.transformers.cpu.threads: how many to decode with, measured once."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from chat.engines.transformers.cpu import threads

Decode = Callable[[int, int], None]


def model(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> Decode:
    """Return a model that takes so long a token, by a clock that nothing else moves."""
    now = [0.0]
    monkeypatch.setattr(threads, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def decode(tokens: int, threads: int) -> None:
        now[0] += seconds[threads] * tokens

    return decode


@pytest.mark.parametrize(
    ("seconds", "best"),
    [
        ({4: 0.03, 1: 0.01}, 1),
        ({4: 0.01, 1: 0.03}, 4),
        ({4: 0.01, 1: 0.012}, 1),
        ({4: 0.5, 1: 1.5}, 4),  # a large model
        ({4: 0.5, 1: 0.02}, 1),  # a small one, where others have the cores
    ],
)
def test_all_are_taken_if_they_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], best: int
) -> None:
    assert threads.decoding_threads(4, model(monkeypatch, seconds)) == best


def test_a_large_model_is_not_kept_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = model(monkeypatch, {4: 1.0, 1: 4.0})
    assert threads.decoding_threads(4, decode) == 4
    assert threads.time.perf_counter() == 5.0


def test_where_there_is_only_one_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.decoding_threads(1, model(monkeypatch, {})) == 1
