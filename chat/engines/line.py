"""A process beside the server, and the pipe to it, at which nobody waits (see `process`)."""

import os
import socket
import subprocess
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from chat import child

#: Seconds that an ended process may take to be gone.
GONE = 5.0


class Line:
    """Runs `module` in a process of its own, from when it is made on, with `child.start`'s options.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, module: str, **options: Any) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                fd = theirs.fileno()
                self._process = child.start(module, fd, pass_fds=[fd], **options)
            except OSError:
                ours.close()
                raise
        self._socket = ours
        self._connection = Connection(os.dup(ours.fileno()))
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._sender = Thread(target=self._send_all, name="line", daemon=True)
        try:
            self._sender.start()
        except BaseException:  # there can be no more threads
            self._process.kill()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def send(self, message: Any) -> None:
        """Have it sent; what has ended gets nothing, as `receive` finds out."""
        self._outbox.put(message)

    def receive(self) -> Any:
        """Wait for what comes next.

        Raises:
            EOFError: the process has ended.
        """
        try:
            return self._connection.recv()
        except OSError:
            raise EOFError from None

    def kill(self) -> None:
        """End the process, whatever it does, and who waits for it here."""
        self._process.kill()
        # One that waits inside the kernel, as for a driver, is killed later, and so is its end.
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def end(self) -> int | None:
        """Let go of the pipe, and return how the process has ended, or None if it has not.

        To be called by who receives, at last.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._outbox.put(None)
        self._sender.join()
        self._connection.close()
        self._socket.close()
        for last in (False, True):
            with suppress(subprocess.TimeoutExpired):
                return self._process.wait(GONE)
            if not last:
                self._process.kill()
        return None

    def _send_all(self) -> None:
        # In a thread, since a pipe is soon full that nobody reads at its other end.
        with suppress(OSError):
            while (message := self._outbox.get()) is not None:
                self._connection.send(message)
