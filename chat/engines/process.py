"""A process that answers many requests at once: its side of the pipe (see `remote`).

In come what it is to load, and then requests, or the number of one to cancel; out come what
it says of itself once it is ready, and for how many seconds a step may last, or the error for
which it is not, and then lists of `Part`, one list a step, which has none if it brought none: so
it shows that it is alive.
"""

import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any, Literal, NamedTuple, Protocol

from chat.errors import ModelError, describe


class Part(NamedTuple):
    """What one step brought one request."""

    number: int
    ids: Sequence[int]
    state: Literal["running", "done", "failed"]
    #: Of the ids, if they were asked for and these do not have them.
    logprobs: Sequence[float] = ()
    #: A sentence for whoever asked, if there is one for why it failed.
    reason: str = ""
    #: How much of the prompt lies in the prefix cache, once that is known.
    cached: int | None = None


class Batcher(Protocol):
    """Works on all requests, a step at a time."""

    #: Seconds that the longest step can take here, by how long one of a token took.
    longest: float

    @property
    def busy(self) -> bool:
        """Whether there is anything to step for."""
        ...

    def take(self, message: Any) -> None:
        """Take up a request, or cancel the one with this number."""
        ...

    def step(self) -> list[Part]:
        """Do a little for everyone, and return what it brought."""
        ...


def work(load: Callable[[Any], tuple[Batcher, Any]]) -> None:
    """Load what the first message asks for, say so, and work until the pipe is closed.

    `load` returns what works, and what is said of it; it raises ModelError if it cannot.
    """
    on_pipe(partial(_serve, load))


def on_pipe(
    main: Callable[[Connection], None], failed: Callable[[Exception], str] = describe
) -> None:
    """Run `main` on the pipe whose number is this process's argument, until that is closed.

    What is said of an error is without its text, which may quote what someone wrote.
    """
    # systemd sends it to all of a service, of which the first process lets replies end first.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        main(Connection(int(sys.argv[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit()  # who has started this is gone
    except Exception as error:
        sys.exit(failed(error))


def _serve(load: Callable[[Any], tuple[Batcher, Any]], connection: Connection) -> None:
    try:
        batcher, ready = load(connection.recv())
    except ModelError as error:
        connection.send(error)
        return
    connection.send(ready)
    connection.send(batcher.longest)
    inbox: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(connection, inbox), daemon=True).start()
    while True:
        while not (batcher.busy and inbox.empty()):
            if (message := inbox.get()) is None:
                raise EOFError
            batcher.take(message)
        connection.send(batcher.step())


def _read(connection: Connection, inbox: "SimpleQueue[Any]") -> None:
    """Take in what comes, and None at the end.

    Else who sends more than a pipe holds would wait until a step has ended, and the whole event
    loop of the server with it.
    """
    try:
        with suppress(EOFError, OSError):
            while True:
                inbox.put(connection.recv())
    finally:
        inbox.put(None)
