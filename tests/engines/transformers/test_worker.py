"""chat.engines.transformers.worker: what is around the writing of a reply, without a model."""

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chat.core.sampling import Sampling
from chat.engines.stream import StreamClosed
from chat.engines.transformers.worker import Worker
from chat.errors import EngineError, OutOfMemory
from tests.support.batches import collect

Start = Callable[..., Worker]


@pytest.fixture(name="start")
def _start() -> Iterator[Start]:
    workers: list[Worker] = []

    def start(*arguments: Any, **options: Any) -> Worker:
        workers.append(Worker(*arguments, **options))
        workers[-1].start()
        return workers[-1]

    yield start
    for worker in workers:
        worker.close()


async def test_write_is_given_what_was_asked_and_where_to_put_it(start: Start) -> None:
    sampling, given = Sampling(seed=1), []

    def write(*asked: Any) -> None:
        *what, put = asked
        given.append(what)
        put(1)
        put(2, 3)

    worker = start(write)
    assert await collect(worker.generate([5, 6], sampling, [7])) == [1, 2, 3]
    assert given == [[[5, 6], sampling, [7]]]


async def test_replies_are_written_one_at_a_time_in_the_order_in_which_they_were_asked_for(
    start: Start,
) -> None:
    order, threads = [], set()

    def write(prompt: list[int], *rest: Any) -> None:
        order.append(("begins", prompt[0]))
        threads.add(threading.current_thread().name)
        for _ in range(100):
            rest[-1](prompt[0])
        order.append(("ends", prompt[0]))

    worker = start(write)
    replies = (collect(worker.generate([number], Sampling())) for number in range(5))
    assert await asyncio.gather(*replies) == [[number] * 100 for number in range(5)]
    assert order == [(what, number) for number in range(5) for what in ("begins", "ends")]
    assert threads == {"engine"}


@pytest.mark.parametrize(("error", "kind"), [(ValueError, EngineError), (MemoryError, OutOfMemory)])
async def test_after_an_error_all_that_the_reply_held_is_let_go_before_it_recovers(
    start: Start, error: type[Exception], kind: type[EngineError]
) -> None:
    class Tensor:
        """What takes a lot of memory."""

    held: list[weakref.ref[Tensor]] = []
    recovered: list[tuple[type, bool]] = []

    def write(*_: Any) -> None:
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        raise error("what somebody wrote")

    def recover(caught: EngineError) -> None:
        gc.collect()
        recovered.append((type(caught), held[-1]() is None))

    worker = start(write, recover)
    with pytest.raises(kind):
        await collect(worker.generate([1], Sampling()))
    assert recovered == [(kind, True)]


@pytest.mark.parametrize(
    ("fails", "begun", "room", "tries"),
    [
        (1, False, True, 2),
        (2, False, True, 2),  # and no more
        (1, False, False, 1),
        (1, True, True, 1),
    ],
)
async def test_what_memory_did_not_suffice_for_is_tried_once_more_if_it_had_not_begun(
    start: Start, fails: int, begun: bool, room: bool, tries: int
) -> None:
    order: list[str] = []

    def write(*asked: Any) -> None:
        order.append("write")
        if begun or order.count("write") > fails:
            asked[-1](1)
        if order.count("write") <= fails:
            raise MemoryError

    def make_room() -> bool:
        order.append("room")
        return room

    worker = start(write, lambda _: order.append("recover"), make_room)
    written: list[int] = []
    failed = False
    try:
        async for ids in worker.generate([1], Sampling()):
            written += ids
    except OutOfMemory:
        failed = True
    assert order.count("write") == tries
    assert failed is (tries <= fails)
    assert written == ([] if failed and not begun else [1]), "nothing is said twice"
    expected = ["write"] if begun else ["write", "room", "write"][: 1 + tries]
    assert order == expected + ["recover"] * failed


@pytest.mark.parametrize("error", [ValueError, EngineError])
async def test_no_other_error_is_tried_again(start: Start, error: type[Exception]) -> None:
    tries: list[object] = []

    def write(*asked: Any) -> None:
        tries.append(asked)
        raise error("odd")

    with pytest.raises(EngineError):
        await collect(start(write, lambda _: None, lambda: True).generate([1], Sampling()))
    assert len(tries) == 1


async def test_it_does_not_recover_from_a_reply_that_nobody_wants(start: Start) -> None:
    recovered: list[EngineError] = []

    def write(*asked: Any) -> None:
        raise StreamClosed

    worker = start(write, recovered.append)
    assert await collect(worker.generate([1], Sampling())) == []
    assert recovered == []


async def test_what_says_itself_what_is_wrong_is_heard_as_it_is(start: Start) -> None:
    def write(*_: Any) -> None:
        raise EngineError("The reply could not be kept to its pattern.")

    with pytest.raises(EngineError, match="kept to its pattern"):
        await collect(start(write).generate([1], Sampling()))


class Held:
    """Writes one id, and then does nothing until it is freed."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.came_back = threading.Event()

    def __call__(self, *asked: Any) -> None:
        asked[-1](7)
        assert self.free.wait(20)
        self.came_back.set()
        asked[-1](8)


async def test_a_thread_that_never_comes_back_keeps_nobody_waiting(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    held = Held()
    worker = start(held, watchdog=0.3)
    given: list[int] = []

    async def follow() -> None:
        async for ids in worker.generate([1], Sampling()):
            given.extend(ids)

    asked = [follow(), follow(), collect(worker.generate([2], Sampling()))]
    async with asyncio.timeout(20):
        errors = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in errors] == [EngineError] * 3
    assert given == [7], "what was written is kept"
    assert worker.state == "failed"
    assert "did nothing for" in caplog.text
    async with asyncio.timeout(1):
        with pytest.raises(EngineError, match="Please try again"):
            await collect(worker.generate([3], Sampling()))
        await asyncio.to_thread(worker.close)
    held.free.set()
    assert held.came_back.wait(20)
    assert given == [7]


async def test_one_that_calls_check_now_and_then_is_waited_for(start: Start) -> None:
    def write(*asked: Any) -> None:
        for _ in range(20):
            worker.check()
            threading.Event().wait(0.05)
        asked[-1](1)

    worker = start(write, watchdog=0.4)
    assert await collect(worker.generate([1], Sampling())) == [1]
    assert worker.state == "ready"


async def test_a_long_prompt_may_take_long(start: Start) -> None:
    def write(*asked: Any) -> None:
        threading.Event().wait(1)
        asked[-1](1)

    worker = start(write, watchdog=0.2)
    worker.pace = 0.1
    assert await collect(worker.generate([1] * 40, Sampling())) == [1]
    assert worker.state == "ready"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_died_keeps_nobody_waiting(start: Start) -> None:
    def recover(_: EngineError) -> None:
        raise SystemExit

    def write(*_: Any) -> None:
        raise ValueError

    worker = start(write, recover, watchdog=0.3)
    for _ in range(2):
        async with asyncio.timeout(20):
            with pytest.raises(EngineError, match="Please try again"):
                await collect(worker.generate([1], Sampling()))
    assert worker.state == "failed"
