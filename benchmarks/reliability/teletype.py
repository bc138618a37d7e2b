"""The chat in a terminal, typed at through a pseudoterminal."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections import Counter
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import processes
from benchmarks.server import ROOT
from chat.settings import Settings

#: Seconds for anything, and after Ctrl-C.
LIMIT, STEP = 60.0, 1.0
QUESTION, LONG = "Tell of a lighthouse.", "all of it " * 500
#: Tokens of a reply, and letters of which it is half there, or nearly whole: a Ctrl-C after its
#: end would leave.
LENGTH, HALF, MOST = 48, 60, 110
#: Ctrl-U: what lost its reply is offered again. And what a line editor writes when it asks for a
#: line, which it has taken once it has written something else.
WIPE, ASKS, TAKEN = "\x15", r"\x1b\[\?2004h(?!.*\x1b\[\?2004l)", r"\x1b\[\?2004l"
#: Letters among which it was seen last whether it asks.
RECENT = 2000
FLAGS = ("--model=embedded", "--temperature=0", f"--max-new-tokens={LENGTH}")


class Teletype:
    """`python -m chat`, exact, for as long as the block lasts."""

    def __enter__(self) -> Self:
        """Start it, and wait until it asks."""
        self._files = tempfile.TemporaryDirectory()
        self._terminal, other = pty.openpty()
        termios.tcsetwinsize(other, (50, 500))  # so that no line is broken
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.exact", "chat", *FLAGS],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
            stdin=other,
            stdout=other,
            stderr=other,
            start_new_session=True,  # its own group gets Ctrl-C, as in a terminal
        )
        os.close(other)
        self._seen, self._saved = "", 0
        self._until("Say something")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        processes.end(self._process.pid, patience=2)
        self._process.wait()
        os.close(self._terminal)
        self._files.cleanup()

    def aborts(
        self,
        phases: Sequence[str],
        took: MutableMapping[str, float],
        broken: Counter[str],
        stopped: list[str],
    ) -> None:
        """Give up a reply in each of these phases, and note what was not as it should be.

        In `stopped` are noted the phases of those that had not ended before.
        """
        expected = self._reply()
        letters = {"first token": 1, "middle": HALF, "last token": MOST}
        for phase in phases:
            if phase == "reading":
                self._type(f"/load {self._long()}")
            else:
                self._type("clear")
            typed = self._type(QUESTION)
            if phase == "reading":
                self._until("Reading [0-9,]+ tokens", since=typed)
            else:
                self._until(rf"Reading[^\x1b]*\x1b\[K.{{{letters[phase]},}}", since=typed)
            os.killpg(self._process.pid, signal.SIGINT)
            began = time.monotonic()
            # One that ended meanwhile says so; a Ctrl-C without a reply would leave.
            self._until(r"Stopped|Finished|Cut off", since=typed)
            seconds = time.monotonic() - began
            took["terminal"] = max(took.get("terminal", 0), seconds)
            if re.search("Stopped", self._seen[typed:]):
                stopped.append(phase)
            elif phase != "last token":
                broken[f"terminal, {phase}: it was not stopped."] += 1
            if seconds > STEP:
                broken[f"terminal, {phase}: it went on for more than {STEP:.0f} s."] += 1
            if self._process.poll() is not None:
                broken[f"terminal, {phase}: it ended."] += 1
                return
            if self._reply() != expected:
                broken[f"terminal, {phase}: the next reply was another one."] += 1

    def _reply(self) -> str:
        """Return the reply to a question that begins a conversation."""
        self._saved += 1
        file = Path(self._files.name, f"{self._saved}.json")
        before = len(self._seen)
        self._type("clear")
        self._type(QUESTION)
        self._until(r"Finished|Cut off", since=before)
        self._type(f"/save {file}")
        self._until(r"Saved to", since=before)
        return str(json.loads(file.read_text())[-1]["content"])

    def _long(self) -> Path:
        """Return a file with a conversation that takes a while to read."""
        file = Path(self._files.name, "long.json")
        system = str(Settings.model_fields["system_prompt"].default)  # stays when all is cleared
        said = {"system": system, "user": LONG, "assistant": "Yes."}
        file.write_text(json.dumps([{"role": role, "content": said[role]} for role in said]))
        return file

    def _type(self, line: str) -> int:
        """Type a line in place of what is offered, and wait until it is taken.

        Return where in what is seen that begins: an answer may have come along with it.
        """
        self._until(ASKS, since=max(0, len(self._seen) - RECENT))
        before = len(self._seen)
        os.write(self._terminal, f"{WIPE}{line}\r".encode())
        self._until(TAKEN, since=before)
        return before

    def _until(self, wanted: str, since: int | None = None) -> None:
        """Read on until this is there.

        Raises:
            TimeoutError: it does not come.
        """
        begin = len(self._seen) if since is None else since
        ends = time.monotonic() + LIMIT
        while time.monotonic() < ends:
            if re.search(wanted, self._seen[begin:], re.S):
                return
            if select.select([self._terminal], [], [], 0.05)[0]:
                with suppress(OSError):  # it has ended
                    self._seen += os.read(self._terminal, 65536).decode(errors="replace")
        raise TimeoutError(f"The terminal did not say {wanted!r}: {self._seen[-300:]!r}")
