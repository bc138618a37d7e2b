"""chat.web.api.responses.kept: what is kept is bounded, and what is not there is said."""

import pytest

from chat.web.api.responses import kept
from chat.web.api.responses.kept import Keeper, Kept, NoSuchResponse
from prompts import Call, Message


def response(size: int = 1) -> Kept:
    messages = [Message("user", "a" * size)]
    return Kept(b"{}", messages, messages)


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
    for number in range(kept.MOST):
        keeper.keep(str(number), response())
    keeper.find("0", "id")
    keeper.keep("more", response())
    assert [there(keeper, id) for id in ("0", "1", "2", "more")] == [True, False, True, True]


def test_long_ones_are_fewer() -> None:
    keeper = Keeper()
    size = kept.LONGEST // 2
    fit = kept.MOST_BYTES // size
    for number in range(fit + 2):
        keeper.keep(str(number), response(size))
    left = sum(there(keeper, str(number)) for number in range(fit + 2))
    assert fit // 2 < left < fit


@pytest.mark.parametrize(
    "one",
    [
        Kept(b" " * (kept.LONGEST + 1), [], []),
        response(kept.LONGEST),
        Kept(b"{}", [], [Message("assistant", "", (Call("f", " " * kept.LONGEST),))]),
        Kept(b"{}", [], [Message("assistant", "", (Call("f", "{}", " " * kept.LONGEST),))]),
        Kept(b"{}", [], [Message("tool", "", name="f", call_id=" " * kept.LONGEST)]),
        Kept(b"{}", [], [Message("tool", "", name=" " * kept.LONGEST)]),
        Kept(b"{}", [], [Message("user", "\U0001f600" * (kept.LONGEST // 4))]),
    ],
)
def test_one_that_is_too_long_is_not_kept_and_others_stay(one: Kept) -> None:
    keeper = Keeper()
    keeper.keep("short", response())
    keeper.keep("long", one)
    assert (there(keeper, "short"), there(keeper, "long")) == (True, False)
