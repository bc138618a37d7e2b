"""The benchmarks' arithmetic, on made-up times."""

import pytest

from benchmarks import figures
from benchmarks.client import Turn
from benchmarks.figures import Reply

STEADY = Reply(sent=10.0, updates=[(10.5, 1), (11.5, 11), (12.5, 21)])
LATE = Reply(sent=10.0, updates=[(12.0, 5), (12.1, 6), (15.0, 10)])


def test_the_tokens_of_an_update_are_those_whose_text_is_there() -> None:
    turn = Turn(1.0, [(2.0, 3), (3.0, 4), (4.0, 11)], "Hello world")
    assert figures.count(turn, [1, 3, 5, 11]) == Reply(1.0, [(2.0, 2), (3.0, 2), (4.0, 4)])


def test_first_token_and_rates_of_one_reply() -> None:
    assert STEADY.first_token == 0.5
    assert STEADY.rate == 21 / 2.5
    assert STEADY.decode_rate == 10
    assert Reply(0.0, [(1.0, 4)]).decode_rate is None


def test_figures_of_people_who_are_answered_at_once() -> None:
    found = figures.together([STEADY, LATE], server_cpu=6.2, client_cpu=0.31)
    assert found["tokens"] == 31
    assert found["seconds"] == 5
    assert found["total_tokens_per_s"] == pytest.approx(31 / 5)
    assert found["slowest_user_tokens_per_s"] == 2
    assert found["fastest_user_tokens_per_s"] == pytest.approx(8.4)
    assert found["fastest_to_slowest"] == pytest.approx(4.2)
    assert found["user_tokens_per_s"] == pytest.approx(5.2)
    assert found["first_token_ms"] == pytest.approx(1250)
    assert found["first_token_worst_ms"] == 2000
    assert found["server_cpu_ms_per_token"] == pytest.approx(200)
    assert found["client_cpu_ms_per_token"] == pytest.approx(10)


def test_tokens_of_one_update_share_its_wait_and_the_largest_gap_is_between_updates() -> None:
    found = figures.gaps([LATE])
    # One token after 100 ms; four after 2,900 ms, which is 725 ms each.
    assert found["inter_token_p50_ms"] == pytest.approx(725)
    assert found["largest_gap_ms"] == pytest.approx(2900)
    assert figures.gaps([Reply(0.0, [(1.0, 4)])])["largest_gap_ms"] is None


@pytest.mark.parametrize(("share", "value"), [(0.5, 1.0), (0.98, 1.0), (0.99, 2.0), (1.0, 9.0)])
def test_percentiles_count_each_value_by_its_weight(share: float, value: float) -> None:
    assert figures.percentile([(9.0, 1), (1.0, 98), (2.0, 1)], share) == value


def test_medians_are_taken_of_what_is_known() -> None:
    runs: list[figures.Figures] = [{"a": 3.0, "b": None}, {"a": 1.0}, {"a": 2.0, "b": 5.0}]
    assert figures.medians(runs) == {"a": 2.0, "b": 5.0}
    assert figures.medians([{"c": None}]) == {"c": None}


def test_a_ratio_above_one_is_better_for_rates_and_for_times() -> None:
    ours: figures.Figures = {"x_tokens_per_s": 90.0, "x_ms": 50.0, "tokens": 9.0, "y_ms": None}
    plain: figures.Figures = {"x_tokens_per_s": 30.0, "x_ms": 100.0, "tokens": 9.0, "y_ms": 1.0}
    assert figures.ratios(ours, plain) == {"x_tokens_per_s": 3.0, "x_ms": 2.0}
