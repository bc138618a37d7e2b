"""chat.core.sampling: every value is checked, whoever sends it."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from chat.core.sampling import MAX_CHOICES, Sampling
from chat.errors import BadRequest

WHOLE = ["max_new_tokens", "top_k", "seed", "min_new_tokens"]

EDGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_k": (0, 1000),
    "repetition_penalty": (0.01, 2),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "min_p": (0, 0.99),
    "guidance_scale": (1, 10),
}
#: The window limits how long a reply may be, and a seed is as good as any other.
WITHOUT_END = {"max_new_tokens": 1, "min_new_tokens": 0}
FIELDS = [*EDGES, *WITHOUT_END, "seed"]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, True, False, "1", "1.0", b"1", None, [1], {"value": 1}, 1j],
)
def test_what_is_not_a_number_is_refused_by_the_name_that_the_page_shows(
    name: str, value: Any
) -> None:
    if name == "seed" and value is None:
        pytest.skip("no seed is a seed drawn anew")
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(**{name: value})
    kind = "a whole number" if name in WHOLE else "a number"
    assert str(caught.value) == f"{Sampling.model_fields[name].title} must be {kind}."


@pytest.mark.parametrize("name", EDGES)
def test_the_ends_of_each_range_are_accepted(name: str) -> None:
    for end in EDGES[name]:
        assert getattr(Sampling.checked(**{name: end}), name) == end


@pytest.mark.parametrize("name", WITHOUT_END)
def test_a_length_has_no_upper_limit_of_its_own(name: str) -> None:
    lowest = WITHOUT_END[name]
    for value in (lowest, 4097, 2**31, 2**70, 1e300):
        longest = {"max_new_tokens": 10**400} if name == "min_new_tokens" else {}
        assert getattr(Sampling.checked(**{name: value}, **longest), name) == value
    title = Sampling.model_fields[name].title
    with pytest.raises(BadRequest, match=f"^{title} must be at least {lowest}\\.$"):
        Sampling.checked(**{name: lowest - 1})


@pytest.mark.parametrize("name", EDGES)
def test_what_is_out_of_range_is_refused_with_the_limit(name: str) -> None:
    lowest, highest = EDGES[name]
    step = 1 if name in WHOLE else 0.001
    title = Sampling.model_fields[name].title
    with pytest.raises(BadRequest, match=f"^{title} must be at least {lowest}\\.$"):
        Sampling.checked(**{name: lowest - 2 * step})
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


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 2.5), ("stop", [1]), ("regex", "("), ("choices", ["\0"])]
)
def test_a_refusal_bears_the_name_of_the_field(name: str, value: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(**{name: value})
    assert caught.value.field == name


def test_a_control_that_does_not_exist_is_refused() -> None:
    with pytest.raises(BadRequest, match="penalty_alpha is not known here"):
        Sampling.checked(penalty_alpha=0.6)


def test_a_refusal_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(temperature="my secret")
    assert "secret" not in str(caught.value)


# 1e-38 and less would overflow 32 bits when the model's scores are divided by it.
@pytest.mark.parametrize("temperature", [0, 0.0, -0.0, 5e-324, 1e-38])
def test_a_temperature_of_nothing_is_greedy(temperature: float) -> None:
    assert Sampling.checked(temperature=temperature).greedy


@pytest.mark.parametrize("top_p", [0, 0.0, -0.0])
def test_a_share_of_nothing_is_greedy(top_p: float) -> None:
    assert Sampling.checked(top_p=top_p).greedy
    assert not Sampling.checked(top_p=0.001).greedy


@pytest.mark.parametrize("temperature", [0.05, 0.6, 2])
def test_a_temperature_of_the_slider_is_not_greedy(temperature: float) -> None:
    assert not Sampling.checked(temperature=temperature).greedy


def test_no_seed_and_minus_one_are_the_same() -> None:
    assert Sampling.checked(seed=-1) == Sampling.checked(seed=None) == Sampling()
    assert Sampling.checked(seed=0) != Sampling()


@pytest.mark.parametrize("seed", [2**32, 2**63, 2**70, 1e300, -2, -(2**70), 2**32 - 1, 0])
def test_a_seed_may_be_any_whole_number(seed: float) -> None:
    folded = Sampling.checked(seed=seed).seed
    assert folded is not None
    assert 0 <= folded < 2**32
    assert folded == Sampling.checked(seed=seed).seed
    assert folded != Sampling.checked(seed=int(seed) + 1).seed


@pytest.mark.parametrize("top_k", [-1, -1.0, 0])
def test_minus_one_and_nothing_are_all_tokens(top_k: float) -> None:
    assert Sampling.checked(top_k=top_k).top_k == 0


def test_a_stop_string_of_nothing_is_none() -> None:
    assert Sampling.checked(stop=[""]).stop == Sampling.checked(stop=["", ""]).stop == ()
    assert Sampling.checked(stop=["", "a", ""]).stop == ("a",)
    with pytest.raises(BadRequest, match="Choices"):
        Sampling.checked(choices=[""])


def test_of_many_lines_that_are_none_one_is_described() -> None:
    for name in ("stop", "choices"):
        with pytest.raises(ValidationError) as refused:
            Sampling(**{name: [0] * 1_000})
        assert refused.value.error_count() == 1


def test_there_may_be_more_choices_than_stop_strings() -> None:
    names = tuple(f"a{number}" for number in range(MAX_CHOICES))
    assert Sampling.checked(choices=names).choices == names
    with pytest.raises(BadRequest, match="at most 256 lines"):
        Sampling.checked(choices=[*names, "b"])
    with pytest.raises(BadRequest, match="at most 64 lines"):
        Sampling.checked(stop=names)


def test_a_reply_is_cut_to_what_there_is_room_for() -> None:
    asked = Sampling(max_new_tokens=100, min_new_tokens=50, top_k=3)
    assert asked.at_most(100) is asked
    cut = asked.at_most(60)
    assert (cut.max_new_tokens, cut.min_new_tokens, cut.top_k) == (60, 50, 3)
    assert (asked.at_most(20).max_new_tokens, asked.at_most(20).min_new_tokens) == (20, 20)


def test_lines_come_as_text_from_a_page_and_as_a_list_from_an_api() -> None:
    for name in ("stop", "choices"):
        for value in ("one\ntwo\n", ["one", "two"], ("one", "two")):
            assert getattr(Sampling.checked(**{name: value}), name) == ("one", "two")
        for value in ("", [], "\n"):
            assert getattr(Sampling.checked(**{name: value}), name) == ()


@pytest.mark.parametrize("value", [5, [1], [None], [[]], {"a": 1}, ["x"] * 65, ["x" * 201]])
def test_what_are_no_lines_or_too_many_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadRequest, match=r"^Stop strings .*\.$"):
        Sampling.checked(stop=value)


@pytest.mark.parametrize("value", [5, None, ["a"], "x" * 2_001])
def test_a_regular_expression_is_a_text_of_some_length(value: Any) -> None:
    with pytest.raises(BadRequest, match=r"^Regular expression must "):
        Sampling.checked(regex=value)


@pytest.mark.parametrize("schema", ["{", "[1]", "5", '"text"', "nothing"])
def test_a_json_schema_is_a_json_object(schema: str) -> None:
    with pytest.raises(BadRequest, match=r"^JSON schema must be a JSON object\.$"):
        Sampling.checked(json_schema=schema)


def test_only_one_thing_can_tie_a_reply_down() -> None:
    with pytest.raises(BadRequest, match="only one can be set"):
        Sampling.checked(choices="yes\nno", regex="[a-z]+")
    assert Sampling.checked(choices="yes\nno").needs() == ["choices"]
    assert Sampling().needs() == []


@pytest.mark.parametrize("biases", [{"5": 1, "77": -100}, {5: 1, 77: -100.0}, {"5": 1.0, 77: -100}])
def test_a_bias_goes_by_the_id_of_its_token_as_a_number_or_a_text(biases: Any) -> None:
    assert Sampling.checked(logit_bias=biases).logit_bias == {5: 1.0, 77: -100.0}
    assert Sampling.checked(logit_bias=biases).needs() == ["logit_bias"]


def test_a_bias_of_nothing_is_none() -> None:
    assert Sampling.checked(logit_bias={"5": 0, "6": -0.0}) == Sampling()
    assert Sampling.checked(logit_bias={"5": 0}).needs() == []


@pytest.mark.parametrize(
    "biases",
    [
        None,
        5,
        "5",
        [[5, 1]],
        {"a": 1},
        {"": 1},
        {" 5": 1},
        {"5.0": 1},
        {"-5": 1},
        {"+5": 1},
        {"5_0": 1},
        {"٥": 1},
        {"5\n": 1},
        {"9" * 5000: 1},
        {5.0: 1},
        {-5: 1},
        {True: 1},
        {None: 1},
        {"5": "1"},
        {"5": True},
        {"5": None},
        {"5": [1]},
        {"5": 100.01},
        {"5": -101},
        {"5": 10**400},
        {"5": math.nan},
        {"5": math.inf},
        {str(id): 1 for id in range(301)},
    ],
    ids=lambda one: repr(one)[:20],
)
def test_what_are_no_biases_or_too_many_is_refused_by_name(biases: Any) -> None:
    with pytest.raises(BadRequest) as caught:
        Sampling.checked(logit_bias=biases)
    assert caught.value.field == "logit_bias"
    assert str(caught.value) == (
        "Logit bias must give at most 300 token ids a number from -100 to 100 each."
    )


def test_300_biases_are_accepted() -> None:
    assert len(Sampling.checked(logit_bias={str(id): 1 for id in range(300)}).logit_bias) == 300


def test_the_likeliest_come_with_the_token_that_was_chosen_alone() -> None:
    assert Sampling.checked(logprobs=True, top_logprobs=20).needs() == ["logprobs", "top_logprobs"]
    assert Sampling.checked(logprobs=True).needs() == ["logprobs"]
    assert Sampling.checked(logprobs=False, top_logprobs=0) == Sampling()
    with pytest.raises(BadRequest, match=r"^Top logprobs come with Logprobs alone\.$"):
        Sampling.checked(top_logprobs=1)


@pytest.mark.parametrize("value", [21, -1, 2.5, True, "1", None, math.nan])
def test_at_most_20_of_the_likeliest_can_be_had(value: Any) -> None:
    assert Sampling.checked(logprobs=True, top_logprobs=20.0).top_logprobs == 20
    with pytest.raises(BadRequest, match=r"^Top logprobs must be (at |a whole number)"):
        Sampling.checked(logprobs=True, top_logprobs=value)


@pytest.mark.parametrize("value", [1, 0, "true", None, 0.0])
def test_log_probabilities_are_asked_for_or_not(value: Any) -> None:
    with pytest.raises(BadRequest, match=r"^Logprobs must be true or false\.$"):
        Sampling.checked(logprobs=value)


def test_beam_search_is_refused_with_the_reason() -> None:
    with pytest.raises(BadRequest, match=r"Beam search .* is not offered: it chooses among whole"):
        Sampling.checked(num_beams=4)


def test_the_shortest_reply_is_no_longer_than_the_longest() -> None:
    with pytest.raises(BadRequest, match="Min new tokens must be at most Max new tokens"):
        Sampling.checked(min_new_tokens=20, max_new_tokens=10)
