"""chat.sampling: every value is checked, whoever sends it."""

import math
from typing import Any

import pytest

from chat.errors import BadRequest
from chat.sampling import Sampling

FIELDS = list(Sampling.model_fields)
WHOLE = ["max_new_tokens", "top_k"]

EDGES = {
    "max_new_tokens": (1, 4096),
    "temperature": (0, 2),
    "top_p": (0.01, 1),
    "top_k": (0, 1000),
    "repetition_penalty": (1, 2),
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, False, "1", "1.0", b"1", None, [1], {"value": 1}, 1j],
)
def test_what_is_not_a_number_is_refused_by_the_name_that_the_page_shows(
    name: str, value: Any
) -> None:
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(**{name: value})
    kind = "a whole number" if name in WHOLE else "a number"
    assert str(caught.value) == f"{Sampling.model_fields[name].title} must be {kind}."


@pytest.mark.parametrize("name", FIELDS)
def test_the_ends_of_each_range_are_accepted(name: str) -> None:
    for end in EDGES[name]:
        assert getattr(Sampling.checked(**{name: end}), name) == end


@pytest.mark.parametrize("name", FIELDS)
def test_what_is_out_of_range_is_refused_with_the_limit(name: str) -> None:
    lowest, highest = EDGES[name]
    step = 1 if name in WHOLE else 0.001
    title = Sampling.model_fields[name].title
    with pytest.raises(BadRequest, match=f"^{title} must be at least {lowest}\\.$"):
        Sampling.checked(**{name: lowest - step})
    for too_much in (highest + step, 2**70, 1e300):
        with pytest.raises(BadRequest, match=f"^{title} must be at most {highest}\\.$"):
            Sampling.checked(**{name: too_much})


@pytest.mark.parametrize("name", WHOLE)
def test_a_fraction_is_refused_where_a_whole_number_is_due(name: str) -> None:
    with pytest.raises(BadRequest, match=r"must be a whole number\.$"):
        Sampling.checked(**{name: 2.5})


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_number_may_come_as_a_float_as_sliders_send_it(name: str) -> None:
    value = getattr(Sampling.checked(**{name: 256.0}), name)
    assert value == 256
    assert type(value) is int


def test_a_control_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadRequest, match="num_beams is not known here"):
        Sampling.checked(num_beams=100)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(temperature="my secret")
    assert "secret" not in str(caught.value)


# 1e-38 and less would overflow 32 bits when the model's scores are divided by it.
@pytest.mark.parametrize("temperature", [0, 0.0, -0.0, 5e-324, 1e-38])
def test_a_temperature_of_nothing_is_greedy(temperature: float) -> None:
    assert Sampling.checked(temperature=temperature).greedy


@pytest.mark.parametrize("temperature", [0.05, 0.6, 2])
def test_a_temperature_of_the_slider_is_not_greedy(temperature: float) -> None:
    assert not Sampling.checked(temperature=temperature).greedy
