"""chat.engines.transformers.cpu.threads: how many to decode with, measured once."""

from collections.abc import Callable

import pytest

from chat.engines.transformers.cpu import threads

Decode = Callable[[int, int], None]


def model(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float]) -> Decode:
    """Return a model that takes so long a token, by a clock that nothing else moves."""
    now = [0.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])

    def decode(tokens: int, threads: int) -> None:
        now[0] += seconds[threads] * tokens

    return decode


@pytest.mark.parametrize(
    ("seconds", "best"),
    [({4: 0.03, 1: 0.01}, 1), ({4: 0.01, 1: 0.03}, 4), ({4: 0.01, 1: 0.012}, 1)],
)
def test_all_are_taken_if_they_are_worth_it(
    monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], best: int
) -> None:
    assert threads.decoding_threads(4, model(monkeypatch, seconds)) == best


@pytest.mark.parametrize(("every", "seconds"), [(4, {4: 0.5}), (1, {1: 0.01})])
def test_one_is_not_tried_with_a_large_model_or_where_there_is_only_one(
    monkeypatch: pytest.MonkeyPatch, every: int, seconds: dict[int, float]
) -> None:
    assert threads.decoding_threads(every, model(monkeypatch, seconds)) == every
