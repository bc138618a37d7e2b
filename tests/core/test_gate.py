"""chat.core.gate: so many replies at once, the others in line."""

import asyncio
from contextlib import ExitStack

import pytest

from chat.core.engine import TICK
from chat.core.gate import Gate
from chat.errors import Draining, QueueFull


async def settle() -> None:
    """Let every task that can go on do so."""
    for _ in range(10):
        await asyncio.sleep(0)


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
