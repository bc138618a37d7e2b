"""Replies that go on where what wrote them ended, at whatever token that was."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.core.engine import Scored
from chat.core.sampling import Sampling
from chat.engines.resume import MOST, Begun, going_on
from chat.errors import Broken, EngineError
from tests.support.batches import collect


class Breaking:
    """Counts from 0 on, `tokens` in all, and ends after so many tokens each time."""

    def __init__(self, tokens: int, breaks: list[int]) -> None:
        self.tokens = tokens
        self.breaks = list(breaks)
        self.asked: list[list[int]] = []

    async def ask(self, begun: Begun) -> AsyncGenerator[list[int]]:
        self.asked.append(list(begun.ids))
        left = self.breaks.pop(0) if self.breaks else None
        for id in range(len(begun.ids), self.tokens):
            if left == 0:
                raise Broken
            left = None if left is None else left - 1
            yield [id]
        if left is not None:
            raise Broken


@given(st.integers(1, 12), st.lists(st.integers(0, 12), max_size=MOST))
async def test_no_id_is_lost_or_given_twice(tokens: int, breaks: list[int]) -> None:
    breaking = Breaking(tokens, breaks)
    sampling = Sampling(max_new_tokens=tokens)
    assert await collect(going_on(breaking.ask, sampling, ())) == list(range(tokens))


async def test_what_has_ended_is_not_asked_for_again() -> None:
    for sampling, stops in ((Sampling(max_new_tokens=3), ()), (Sampling(), (2,))):
        breaking = Breaking(3, [3, 3])
        assert await collect(going_on(breaking.ask, sampling, stops)) == [0, 1, 2]
        assert breaking.asked == [[]]


async def test_it_is_left_as_it_is_in_the_end() -> None:
    breaking = Breaking(50, [1] * 50)
    given: list[int] = []

    async def follow() -> None:
        async for ids in going_on(breaking.ask, Sampling(), ()):
            given.extend(ids)

    with pytest.raises(EngineError, match="Please try again"):
        await follow()
    assert given == list(range(MOST + 1))


async def test_another_failure_is_handed_on() -> None:
    async def ask(begun: Begun) -> AsyncGenerator[list[int]]:
        yield [1]
        raise EngineError("It is too hot.")

    with pytest.raises(EngineError, match="too hot"):
        await collect(going_on(ask, Sampling(), ()))


def test_the_rest_has_what_is_left_of_the_lengths_and_other_numbers() -> None:
    sampling = Sampling(max_new_tokens=10, min_new_tokens=4, seed=7)
    begun = Begun()
    assert begun.rest(sampling) == sampling
    begun.ids += [1, 2, 3]
    rest = begun.rest(sampling)
    assert (rest.max_new_tokens, rest.min_new_tokens, rest.seed) == (7, 1, 10)


@pytest.mark.parametrize(
    "ties",
    [{"choices": ("a",)}, {"regex": "a+"}, {"json_schema": "{}"}, {"presence_penalty": 1.0}],
)
def test_what_counts_from_the_beginning_of_a_reply_goes_on_before_its_first_token_alone(
    ties: dict[str, Any],
) -> None:
    sampling, begun = Sampling(**ties), Begun()
    assert begun.rest(sampling) == sampling
    begun.ids.append(1)
    with pytest.raises(EngineError, match="Please try again"):
        begun.rest(sampling)


async def test_ids_with_scores_are_kept_as_ids() -> None:
    async def ask(begun: Begun) -> AsyncGenerator[list[int]]:
        assert all(type(id) is int for id in begun.ids)
        yield [Scored(5, -0.5)]
        if len(begun.ids) < 2:
            raise Broken

    found = await collect(going_on(ask, Sampling(), ()))
    assert found == [5, 5]
    assert all(isinstance(id, Scored) for id in found)


def test_of_two_the_later_has_the_larger_number() -> None:
    first, second = Begun(), Begun()
    assert first.number < second.number
