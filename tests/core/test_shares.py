"""chat.core.shares: what one visitor may take."""

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from chat.core.chat import Chat
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.core.shares import Account, Limits, Shares, Visitor, asking
from chat.errors import BadRequest, RateLimited
from tests.support.fakes import ScriptedEngine, chat_with

Clock = list[float]


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time, which stands still, but not for event loops."""
    now = [1000.0]
    monkeypatch.setattr("chat.core.shares.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def ann(**limits: int) -> Visitor:
    return (Account("ann", Limits(**limits)),)


def ask(shares: Shares, visitor: Visitor, tokens: int = 0) -> None:
    with shares.place(visitor) as share:
        share.count()
        share.spend(tokens)


def test_who_is_nobody_in_particular_is_never_limited() -> None:
    shares = Shares()
    for _ in range(1000):
        ask(shares, (), 1_000_000)
        ask(shares, ann(), 1_000_000)


def test_places_are_given_back_however_a_reply_ends() -> None:
    shares, visitor = Shares(), ann(places=2)
    for _ in range(3):
        with ExitStack() as held:
            held.enter_context(shares.place(visitor))
            with pytest.raises(ZeroDivisionError), shares.place(visitor):
                raise ZeroDivisionError
            held.enter_context(shares.place(visitor))
            with pytest.raises(RateLimited, match=r"^You may have 2 replies at once, with those"):
                held.enter_context(shares.place(visitor))


def test_requests_of_a_minute_may_come_at_once_and_then_as_fast_as_they_drain(
    clock: Clock,
) -> None:
    shares, visitor = Shares(), ann(requests=6)
    for _ in range(6):
        ask(shares, visitor)
    with pytest.raises(RateLimited, match=r"6 requests a minute.* in 10 seconds") as refused:
        ask(shares, visitor)
    assert (refused.value.seconds, refused.value.kind) == (10, "requests")
    clock[0] += 10
    ask(shares, visitor)
    with pytest.raises(RateLimited):
        ask(shares, visitor)
    clock[0] += 3600
    for _ in range(6):
        ask(shares, visitor)


def test_tokens_are_paid_afterwards_and_then_waited_for(clock: Clock) -> None:
    shares, visitor = Shares(), ann(tokens=3600)
    ask(shares, visitor, 3599)
    ask(shares, visitor, 601)  # there was one left
    with pytest.raises(RateLimited, match=r"3,600 tokens an hour.* in 11 minutes") as refused:
        ask(shares, visitor)
    assert (refused.value.seconds, refused.value.kind) == (601, "tokens")
    clock[0] += 601
    ask(shares, visitor)


def test_the_same_request_can_be_too_many_for_its_address() -> None:
    shares, address = Shares(), Account("address", Limits(places=2), "Your address")
    with ExitStack() as held:
        for name in ("ann", "ben"):
            held.enter_context(shares.place((address, Account(name, Limits(places=1)))))
        with pytest.raises(RateLimited, match=r"^Your address may have 2 replies"):
            held.enter_context(shares.place((address, Account("eve", Limits(places=1)))))


def test_who_was_refused_has_taken_nothing() -> None:
    shares, address = Shares(), Account("address", Limits(places=2), "Your address")
    with shares.place(ann(places=1)):
        for _ in range(3):
            with pytest.raises(RateLimited, match=r"^You may have 1 reply at"):
                ask(shares, (address, *ann(places=1)))
        ask(shares, (address,))


def test_those_who_came_together_are_counted_one_by_one() -> None:
    shares, visitor = Shares(), ann(requests=1)
    with shares.place(visitor) as one, shares.place(visitor) as other:
        one.count()
        with pytest.raises(RateLimited):
            other.count()


def test_what_is_left_is_of_the_account_that_has_least() -> None:
    shares = Shares()
    address = Account("address", Limits(requests=60), "Your address")
    visitor = (address, *ann(requests=10, tokens=3600))
    ask(shares, visitor, 36)
    requests, tokens = shares.left(visitor)
    assert requests == (10, 9, 6)
    assert tokens == (3600, 3564, 36)
    for _ in range(52):
        ask(shares, (address,))
    assert shares.left(visitor)[0] == (60, 7, 53)
    assert shares.left(()) == (None, None)


def test_so_many_are_remembered_and_who_is_being_answered_is_not_forgotten() -> None:
    shares, limits = Shares(most=50), Limits(places=1)
    with shares.place((Account("first", limits),)):
        for number in range(500):
            ask(shares, (Account(str(number), limits),))
        assert len(shares) <= 51
        with pytest.raises(RateLimited):
            ask(shares, (Account("first", limits),))


async def answer(chat: Chat, message: str, **controls: object) -> None:
    async for _ in chat.reply(rebuild([], message, ""), Sampling(**controls)):
        pass


def left(chat: Chat, visitor: Visitor) -> list[int]:
    return [one.left for one in chat.shares.left(visitor) if one]


async def test_a_reply_costs_a_request_and_its_tokens_and_what_is_refused_nothing() -> None:
    engine = ScriptedEngine(lambda prompt: "Hello")
    chat, visitor = chat_with(engine), ann(places=1, requests=5, tokens=10_000)
    token = asking.set(visitor)
    try:
        for _ in range(3):
            with pytest.raises(BadRequest):
                await answer(chat, "Hi", thinking="on")
        assert left(chat, visitor) == [5, 10_000]
        await answer(chat, "Hi")
        cost = len(engine.prompts[0]) + len("Hello|")
        assert left(chat, visitor) == [4, 10_000 - cost]
    finally:
        asking.reset(token)
    assert chat.meter.refused == {"BadRequest": 3}


async def test_a_visitors_second_reply_is_refused_before_it_is_composed() -> None:
    chat, visitor = chat_with(ScriptedEngine()), ann(places=1)
    token = asking.set(visitor)
    try:
        first = chat.reply(rebuild([], "Hi", ""), Sampling())
        await anext(first)
        with pytest.raises(RateLimited):
            await answer(chat, "Hi")
        await first.aclose()
        await answer(chat, "Hi")
    finally:
        asking.reset(token)
    assert chat.meter.refused == {"RateLimited": 1}
