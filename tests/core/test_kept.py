"""chat.core.kept: replies that outlast whoever listens, for a while and in nobody's way."""

import pytest

from chat.core import kept
from chat.core.gate import Gate
from chat.core.kept import Forgotten, Replies
from chat.errors import EngineError
from tests.support.kept import Clock, Listener, Story, replies
from tests.support.waiting import settle


async def test_a_reply_goes_on_when_nobody_listens_and_is_picked_up_where_it_was_left() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    first = Listener(reply)
    story.go_on(b"a", b"b")
    await settle()
    assert first.heard == [(1, b"a"), (2, b"b")]
    await first.leave()
    story.go_on(b"c")
    await settle()
    second = Listener(reply, 1)
    await settle()
    assert second.heard == [(2, b"b"), (3, b"c")]
    story.go_on(b"d", None)
    await settle()
    assert second.heard[-1] == (4, b"d")
    assert second.task.done()
    assert not reply.ended


async def test_left_alone_it_is_ended_when_the_time_is_over_and_what_there_is_stays() -> None:
    story, clock = Story(), Clock()
    made = replies(clock)
    reply = made.begin(story.tell(), "me")
    listener = Listener(reply)
    story.go_on(b"a")
    await settle()
    assert clock.waiting == []
    await listener.leave()
    assert [call.seconds for call in clock.waiting] == [60]
    clock.strike()
    await settle()
    assert story.closed
    late = Listener(made.find(reply.id, "me"))
    await settle()
    assert late.heard == [(1, b"a")]
    assert reply.ended
    clock.strike()
    with pytest.raises(Forgotten):
        made.find(reply.id, "me")


async def test_who_comes_back_in_time_keeps_it() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    await Listener(reply).leave()
    await settle()
    Listener(reply)
    await settle()
    clock.strike()
    await settle()
    assert not story.closed


async def test_what_nobody_ever_follows_ends_too() -> None:
    story, clock = Story(), Clock()
    replies(clock).begin(story.tell(), "me")
    await settle()
    assert story.inside
    clock.strike()
    await settle()
    assert story.closed


async def test_with_no_time_it_ends_with_whoever_listens() -> None:
    story = Story()
    reply = Replies[bytes](Gate(1, 1), 0, len).begin(story.tell(), "me")
    listener = Listener(reply)
    await settle()
    assert story.inside
    await listener.leave()
    assert story.closed


async def test_one_of_two_who_leaves_leaves_it_to_the_other() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    first, second = Listener(reply), Listener(reply)
    await settle()
    await first.leave()
    assert clock.waiting == []
    assert reply.alone is None
    story.go_on(b"a", None)
    await settle()
    assert second.heard == [(1, b"a")]


async def test_who_takes_over_is_the_only_one() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    first = Listener(reply)
    story.go_on(b"a")
    await settle()
    second = Listener(reply, alone=True)
    await settle()
    story.go_on(b"b")
    await settle()
    assert first.heard == [(1, b"a")]
    assert first.task.done()
    assert second.heard == [(1, b"a"), (2, b"b")]
    await second.leave()
    assert reply.alone


async def test_end_ends_it_at_once_for_all_who_listen() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    listener = Listener(reply)
    story.go_on(b"a")
    await settle()
    reply.end()
    await settle()
    assert story.closed
    assert listener.task.done()
    assert listener.heard == [(1, b"a")]


async def test_what_goes_wrong_is_raised_for_each_and_for_who_comes_later() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    first = Listener(reply)
    story.go_on(b"a", EngineError("It failed."))
    await settle()
    second = Listener(reply)
    await settle()
    for one in (first, second):
        assert one.heard == [(1, b"a")]
        with pytest.raises(EngineError, match="It failed"):
            one.task.result()


async def test_what_is_refused_is_not_kept() -> None:
    story, clock = Story(), Clock()
    made = replies(clock)
    reply = made.begin(story.tell(), "me")
    listener = Listener(reply)
    story.go_on(EngineError("No."))
    await settle()
    with pytest.raises(EngineError):
        listener.task.result()
    with pytest.raises(Forgotten):
        made.find(reply.id, "me")


@pytest.mark.parametrize("owner", ["you", "Me", "", None, ("me",)])
async def test_it_is_its_owners_alone(owner: object) -> None:
    made = replies(Clock())
    reply = made.begin(Story().tell(), "me")
    assert made.find(reply.id, "me") is reply
    for id in (reply.id[:-1], reply.id.upper() + "0", ""):
        with pytest.raises(Forgotten):
            made.find(id, "me")
    with pytest.raises(Forgotten):
        made.find(reply.id, owner)
    reply.end()


def test_an_id_has_128_bits_and_is_never_the_same() -> None:
    ids = {kept.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert {len(bytes.fromhex(id)) for id in ids} == {16}


async def test_of_one_that_is_its_last_item_only_that_is_kept() -> None:
    story, clock = Story(), Clock()
    reply = replies(clock, latest=True).begin(story.tell(), "me")
    story.go_on(b"a", b"ab", b"abc")
    await settle()
    listener = Listener(reply)
    await settle()
    assert listener.heard == [(3, b"abc")]
    assert reply.bytes == 3
    reply.end()


async def test_so_many_may_follow_one_and_then_the_first_does_so_no_more() -> None:
    story = Story()
    reply = replies(Clock()).begin(story.tell(), "me")
    listeners = [Listener(reply) for _ in range(kept.FOLLOWERS + 2)]
    await settle()
    assert [listener.task.done() for listener in listeners[:3]] == [True, True, False]
    story.go_on(b"a", None)
    await settle()
    assert all(listener.heard == [(1, b"a")] for listener in listeners[2:])


async def test_what_is_kept_of_one_is_bounded_and_who_was_left_behind_hears_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 160)
    story, clock = Story(), Clock()
    reply = replies(clock).begin(story.tell(), "me")
    story.go_on(*[b"1234"] * 5)
    await settle()
    assert (reply.first, reply.last, reply.bytes) == (4, 5, 8)
    behind, there = Listener(reply), Listener(reply, 3)
    await settle()
    with pytest.raises(Forgotten):
        behind.task.result()
    assert there.heard == [(4, b"1234"), (5, b"1234")]
    await there.leave()
    reply.end()


async def test_the_oldest_that_are_over_are_forgotten_when_there_are_too_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST", 2)
    clock = Clock()
    made = replies(clock)
    ids = []
    for _ in range(4):
        story = Story()
        ids.append(made.begin(story.tell(), "me").id)
        story.go_on(b"a", None)
        await settle()
    for id in ids[:1]:
        with pytest.raises(Forgotten):
            made.find(id, "me")
    assert [made.find(id, "me").id for id in ids[-2:]] == ids[-2:]


async def test_those_that_are_over_make_room_for_those_that_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 1600)
    clock = Clock()
    made = replies(clock)
    over = []
    for _ in range(20):
        story = Story()
        over.append(made.begin(story.tell(), "me"))
        story.go_on(b"x" * 90, None)
        await settle()
    with pytest.raises(Forgotten):
        made.find(over[0].id, "me")
    assert made.find(over[-1].id, "me") is over[-1]
