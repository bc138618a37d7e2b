"""chat.web.api.responses.stored: what is kept is bounded, and what is not there is said."""

import pytest

from chat.web.api.responses import stored
from chat.web.api.responses.stored import Keeper, NoSuchResponse, Stored
from prompts import Call, Message


def response(size: int = 1) -> Stored:
    messages = [Message("user", "a" * size)]
    return Stored(b"{}", messages, messages)


def there(keeper: Keeper, id: str) -> bool:
    try:
        return keeper.find(id, "id") is not None
    except NoSuchResponse:
        return False


def test_a_response_is_found_until_it_is_forgotten() -> None:
    keeper, one = Keeper(), response()
    keeper.keep("a", one)
    assert keeper.find("a", "id") is one
    keeper.forget("a")
    with pytest.raises(NoSuchResponse):
        keeper.find("a", "id")
    with pytest.raises(NoSuchResponse):
        keeper.forget("a")


def test_the_least_recently_used_is_forgotten_first() -> None:
    keeper = Keeper()
    for number in range(stored.MOST):
        keeper.keep(str(number), response())
    keeper.find("0", "id")
    keeper.keep("more", response())
    assert [there(keeper, id) for id in ("0", "1", "2", "more")] == [True, False, True, True]


def test_long_ones_are_fewer() -> None:
    keeper = Keeper()
    size = stored.LONGEST // 2
    fit = stored.MOST_BYTES // size
    for number in range(fit + 2):
        keeper.keep(str(number), response(size))
    left = sum(there(keeper, str(number)) for number in range(fit + 2))
    assert fit // 2 < left < fit


@pytest.mark.parametrize(
    "one",
    [
        Stored(b" " * (stored.LONGEST + 1), [], []),
        response(stored.LONGEST),
        Stored(b"{}", [], [Message("assistant", "", (Call("f", " " * stored.LONGEST),))]),
        Stored(b"{}", [], [Message("assistant", "", (Call("f", "{}", " " * stored.LONGEST),))]),
        Stored(b"{}", [], [Message("tool", "", name="f", call_id=" " * stored.LONGEST)]),
        Stored(b"{}", [], [Message("tool", "", name=" " * stored.LONGEST)]),
        Stored(b"{}", [], [Message("user", "\U0001f600" * (stored.LONGEST // 4))]),
    ],
)
def test_one_that_is_too_long_is_not_kept_and_others_stay(one: Stored) -> None:
    keeper = Keeper()
    keeper.keep("short", response())
    keeper.keep("long", one)
    assert (there(keeper, "short"), there(keeper, "long")) == (True, False)
