"""chat.core.kept: replies that are left alone keep nobody waiting."""

from contextlib import ExitStack

import pytest

from chat.core.gate import Gate
from chat.core.shares import Account, Share, Used
from chat.errors import QueueFull
from tests.support.kept import Clock, Listener, Story, replies
from tests.support.waiting import settle


async def test_who_would_wait_gets_the_place_of_one_that_is_alone() -> None:
    gate, clock = Gate(1, 1), Clock()
    story = Story(gate)
    reply = replies(clock, gate).begin(story.tell(), "me")
    listener = Listener(reply)
    story.go_on(b"a")
    await settle()
    await listener.leave()
    assert story.inside
    with gate.enter() as ticket:
        assert ticket.place == 1
        await settle()
        assert ticket.place == 0
    assert story.closed
    late = Listener(reply)
    await settle()
    assert late.heard == [(1, b"a")]


async def test_one_that_is_left_while_others_wait_ends_at_once() -> None:
    gate, clock = Gate(1, 1), Clock()
    story = Story(gate)
    listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
    await settle()
    with gate.enter() as ticket:
        await settle()
        assert ticket.place == 1
        await listener.leave()
        assert ticket.place == 0
        assert story.closed


async def test_the_longest_alone_gives_way_and_no_more_than_have_to() -> None:
    gate, clock = Gate(3, 9), Clock()
    made = replies(clock, gate)
    stories = [Story(gate) for _ in range(3)]
    listeners = [Listener(made.begin(story.tell(), "me")) for story in stories]
    await settle()
    for place in (1, 2, 0):
        await listeners[place].leave()
    with gate.enter():
        await settle()
        assert [story.closed for story in stories] == [False, True, False]
        with gate.enter():
            await settle()
            assert [story.closed for story in stories] == [False, True, True]
    reply = Listener(made.begin(Story(gate).tell(), "me"))
    await settle()
    assert not stories[0].closed
    await reply.leave()


async def test_two_who_come_at_once_end_two_and_not_a_third() -> None:
    gate, clock = Gate(3, 9), Clock()
    made = replies(clock, gate)
    stories = [Story(gate) for _ in range(3)]
    listeners = [Listener(made.begin(story.tell(), "me")) for story in stories]
    await settle()
    for listener in listeners:
        await listener.leave()
    with gate.enter(), gate.enter():
        await settle()
        assert [story.closed for story in stories] == [True, True, False]


async def test_one_that_is_alone_behind_somebody_is_in_nobodys_way() -> None:
    gate, clock = Gate(1, 9), Clock()
    story = Story(gate)
    with gate.enter(), gate.enter() as ticket:
        listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
        await settle()
        await listener.leave()
        assert ticket.place == 1
        assert not story.closed


async def test_one_that_is_alone_gives_way_only_to_whom_that_lets_in() -> None:
    gate, clock = Gate(2, 9), Clock()
    mine, other = Account("mine", shares=True), Account("other", shares=True)
    stories = [Story(gate, Share((one,), (Used(),))) for one in (mine, other)]
    made = replies(clock, gate)
    listeners = [Listener(made.begin(story.tell(), "me")) for story in stories]
    await settle()
    await listeners[0].leave()
    with gate.enter(Share((other,), (Used(),))) as more:
        await settle()
        assert not stories[0].closed
        assert more.place == 1
        with gate.enter(Share((mine,), (Used(),))) as again:
            await settle()
            assert stories[0].closed
            assert again.place == 0
    await listeners[1].leave()


async def test_several_give_way_together_where_it_takes_so_many() -> None:
    gate, clock = Gate(4, 9), Clock()
    whose = [Account(name, shares=True) for name in "abcd"]
    stories = [Story(gate, Share((one,), (Used(),))) for one in whose]
    made = replies(clock, gate)
    listeners = [Listener(made.begin(story.tell(), "me")) for story in stories]
    await settle()
    for listener in listeners[1:]:
        await listener.leave()
    with gate.enter(Share((whose[0],), (Used(),))) as second:
        await settle()
        assert second.place == 0  # for which there has to be room for more than they have
        assert [story.closed for story in stories] == [False, True, True, False]
    await listeners[0].leave()


async def test_one_that_is_alone_gives_way_once_that_lets_somebody_in() -> None:
    gate, clock = Gate(3, 9), Clock()
    mine = Share((Account("mine", shares=True),), (Used(),))
    with ExitStack() as leaving, gate.enter(mine):
        leaving.enter_context(gate.enter(mine))
        story = Story(gate)
        listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
        await settle()
        await listener.leave()
        with gate.enter(mine) as third:
            assert (third.place, story.closed) == (1, False)
            leaving.close()
            await settle()
            assert (third.place, story.closed) == (0, True)


async def test_one_that_is_listened_to_never_gives_way() -> None:
    gate, clock = Gate(1, 1), Clock()
    story = Story(gate)
    listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
    await settle()
    with gate.enter() as ticket:
        await settle()
        assert ticket.place == 1
        assert story.inside
        with pytest.raises(QueueFull, match="2 people"):
            gate.check()
    await listener.leave()


async def test_who_waits_and_is_alone_keeps_the_place_unless_it_is_in_somebodys_way() -> None:
    gate, clock = Gate(1, 9), Clock()
    story = Story(gate)
    with gate.enter():
        listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
        await settle()
        await listener.leave()
        assert not story.closed
        with gate.enter() as ticket:
            await settle()
            assert story.closed
            assert ticket.place == 1


async def test_one_that_is_alone_uses_up_no_place() -> None:
    gate, clock = Gate(1, 0), Clock()
    story = Story(gate)
    listener = Listener(replies(clock, gate).begin(story.tell(), "me"))
    await settle()
    with pytest.raises(QueueFull):
        gate.check()
    await listener.leave()
    gate.check()
    with gate.enter() as ticket:
        await settle()
        assert ticket.place == 0
        assert story.closed
