"""chat.core.gate: so many replies at once, the others in line."""

import asyncio
from contextlib import ExitStack
from itertools import pairwise

import pytest

from chat.core.engine import TICK
from chat.core.gate import Gate, Ticket
from chat.core.shares import Account, Limits, Share, Used
from chat.errors import Draining, QueueFull, RateLimited
from tests.support.waiting import settle


@pytest.mark.parametrize(("parallel", "places"), [(1, [0, 1, 2, 3]), (2, [0, 0, 1, 2])])
async def test_the_first_are_in_at_once_and_the_others_know_their_place(
    parallel: int, places: list[int]
) -> None:
    gate = Gate(parallel, 10)
    with ExitStack() as line:
        tickets = [line.enter_context(gate.enter()) for _ in range(4)]
        assert [ticket.place for ticket in tickets] == places


async def test_who_leaves_lets_the_others_move_up_in_their_order() -> None:
    gate = Gate(1, 10)
    lines = [ExitStack() for _ in range(4)]
    tickets = [line.enter_context(gate.enter()) for line in lines]
    lines[2].close()  # gives up while waiting
    assert [tickets[index].place for index in (0, 1, 3)] == [0, 1, 2]
    lines[0].close()
    assert [tickets[index].place for index in (1, 3)] == [0, 1]
    lines[1].close()
    assert tickets[3].place == 0
    lines[3].close()
    assert gate.size == 0


@pytest.mark.parametrize(("parallel", "waiting"), [(1, 0), (1, 2), (3, 1)])
async def test_a_full_queue_says_so_and_opens_again(parallel: int, waiting: int) -> None:
    gate = Gate(parallel, waiting)
    with ExitStack() as line:
        for _ in range(parallel + waiting):
            line.enter_context(gate.enter())
        with pytest.raises(QueueFull, match=f"full: {parallel + waiting} people"):
            line.enter_context(gate.enter())
        assert gate.size == parallel + waiting
    with gate.enter() as ticket:
        assert ticket.place == 0


async def test_an_error_gives_the_place_back() -> None:
    gate = Gate(1, 0)
    with pytest.raises(ZeroDivisionError), gate.enter():
        raise ZeroDivisionError
    assert gate.size == 0


async def test_who_waits_hears_at_once_when_the_line_moves() -> None:
    gate = Gate(1, 10)
    with ExitStack() as line, ExitStack() as first:
        first.enter_context(gate.enter())
        tickets = [line.enter_context(gate.enter()) for _ in range(2)]
        waits = [asyncio.create_task(ticket.wait()) for ticket in tickets]
        await settle()
        assert not any(wait.done() for wait in waits)
        first.close()
        await settle()
        assert all(wait.done() for wait in waits)


async def test_each_move_is_heard_once() -> None:
    gate = Gate(1, 10)
    with gate.enter(), gate.enter(), gate.enter() as last:
        with gate.enter():
            pass
        await last.wait()
        again = asyncio.create_task(last.wait())
        await settle()
        assert not again.done()
        again.cancel()


async def test_who_waits_hears_after_a_tick_even_if_nothing_moves() -> None:
    gate = Gate(1, 10)
    with gate.enter(), gate.enter() as ticket:
        await asyncio.wait_for(ticket.wait(), 20 * TICK)
        assert ticket.place == 1


async def test_a_gate_that_is_shut_lets_nobody_in_any_more_and_nobody_wait() -> None:
    gate = Gate(1, 10)
    with gate.enter() as inside, gate.enter() as waiting:
        gate.shut = True
        assert inside.place == 0  # and may end
        with pytest.raises(Draining, match="begins no new replies"):
            await waiting.wait()
        for ask in (gate.check, gate.enter().__enter__):
            with pytest.raises(Draining):
                ask()
        assert (gate.inside, gate.waiting) == (1, 1)


def shares(*names: str) -> list[Share]:
    return [Share((Account(name),), (Used(),)) for name in names]


async def test_one_who_has_many_in_line_lets_others_come_between_them() -> None:
    gate = Gate(1, 20)
    one, other, third = shares("one", "other", "third")
    with gate.enter(one), ExitStack() as line:
        many = [line.enter_context(gate.enter(one)) for _ in range(4)]
        assert [ticket.place for ticket in many] == [1, 2, 3, 4]
        late = [line.enter_context(gate.enter(share)) for share in (other, third, other)]
        assert [ticket.place for ticket in late] == [2, 3, 5]
        assert [ticket.place for ticket in many] == [1, 4, 6, 7]


async def test_those_who_have_one_each_are_let_in_in_the_order_in_which_they_came() -> None:
    """Also beside somebody with many, and while people come and go."""
    gate = Gate(2, 100)
    (greedy,) = shares("greedy")
    inside, came, went = dict[str, ExitStack](), list[str](), list[str]()
    waiting = dict[str, tuple[ExitStack, Ticket]]()

    def come(name: str, share: Share) -> None:
        stack = ExitStack()
        waiting[name] = stack, stack.enter_context(gate.enter(share))

    def let_in() -> None:
        for name, (stack, ticket) in [*waiting.items()]:
            if not ticket.place:
                inside[name] = stack
                went.append(name)
                del waiting[name]

    for number in range(30):
        come(f"greedy {number}", greedy)
    for number in range(60):
        come(f"single {number}", shares(f"single {number}")[0])
        came.append(f"single {number}")
        let_in()
        if number % 2:
            inside.pop(next(iter(inside))).close()
            let_in()
    while inside:
        inside.pop(next(iter(inside))).close()
        let_in()
    assert [name for name in went if name.startswith("single")] == came
    assert [name for name in went if name.startswith("greedy")] == [
        f"greedy {number}" for number in range(30)
    ]
    # Of who has many, one at most comes between two others.
    firsts = went[4 : went.index("single 59")]
    assert all(
        not (one.startswith("greedy") and next.startswith("greedy"))
        for one, next in pairwise(firsts)
    )
    assert gate.size == 0


def test_who_is_on_the_way_keeps_it_busy() -> None:
    gate = Gate(1, 0)
    assert not gate.busy
    with gate.coming():
        assert gate.busy
        with gate.enter():
            assert gate.busy
        assert gate.busy
    assert not gate.busy
    with gate.enter():
        assert gate.busy


async def test_who_has_nothing_left_does_not_come_into_line() -> None:
    gate = Gate(1, 1)
    share = Share((Account("one", Limits(requests=1)),), (Used(),))
    with gate.enter(share), pytest.raises(RateLimited), gate.enter(share):
        raise AssertionError
    assert gate.size == 0


async def test_who_has_many_in_line_is_not_forgotten_while_others_keep_coming() -> None:
    gate = Gate(1, 100)
    line = dict[str, tuple[ExitStack, Ticket]]()

    def come(name: str, share: Share) -> None:
        stack = ExitStack()
        line[name] = stack, stack.enter_context(gate.enter(share))

    (greedy,) = shares("greedy")
    for number in range(3):
        come(f"greedy {number}", greedy)
    for number in range(10):
        for name in (f"one {number}", f"other {number}"):  # and one goes
            come(name, *shares(name))
        inside = next(name for name, (_, ticket) in line.items() if not ticket.place)
        line.pop(inside)[0].close()
    left = [*line]
    for stack, _ in line.values():
        stack.close()
    assert not [name for name in left if name.startswith("greedy")]


def sharing(*names: str) -> Share:
    """Return a share whose accounts leave room for others."""
    visitor = tuple(Account(name, shares=True) for name in names)
    return Share(visitor, [Used() for _ in names])


async def test_who_shares_leaves_room_for_others_and_they_for_more() -> None:
    gate = Gate(8, 40)
    with ExitStack() as line:
        places = {
            name: [line.enter_context(gate.enter(sharing(name))).place for _ in range(6)]
            for name in ("greedy", "other", "third", "fourth", "fifth")
        }
        inside = {name: waits.count(0) for name, waits in places.items()}
        assert inside == {"greedy": 4, "other": 2, "third": 1, "fourth": 1, "fifth": 0}
        assert (gate.inside, gate.waiting) == (8, 22)
        assert places["greedy"] == [0, 0, 0, 0, 1, 2]


async def test_so_does_an_address_with_all_its_visitors() -> None:
    gate = Gate(4, 40)
    with ExitStack() as line:
        many = [
            line.enter_context(gate.enter(sharing("address", f"visitor {number}")))
            for number in range(5)
        ]
        assert [ticket.place for ticket in many] == [0, 0, 1, 2, 3]
        assert line.enter_context(gate.enter(sharing("late"))).place == 0


@pytest.mark.parametrize("parallel", [1, 2, 8])
async def test_everybody_has_one_and_who_does_not_share_has_all(parallel: int) -> None:
    gate = Gate(parallel, 40)
    with gate.enter(sharing("one")) as ticket:
        assert ticket.place == 0
    with ExitStack() as line:
        tickets = [line.enter_context(gate.enter()) for _ in range(parallel)]
        assert not any(ticket.place for ticket in tickets)


async def test_who_has_enough_comes_in_as_soon_as_one_of_their_own_has_ended() -> None:
    gate = Gate(2, 40)
    with ExitStack() as line, ExitStack() as first:
        first.enter_context(gate.enter(sharing("greedy")))
        second = line.enter_context(gate.enter(sharing("greedy")))
        with gate.enter(sharing("late")) as late:
            assert (second.place, late.place) == (1, 0)
        assert second.place == 1
        first.close()
        assert second.place == 0
