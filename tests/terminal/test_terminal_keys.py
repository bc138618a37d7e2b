"""The chat in a pseudo-terminal: keys, Ctrl-C and text that streams."""

import codecs
import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

SCRIPTED = """
import asyncio, sys
from chat.terminal import line_editor
from chat.terminal.console import Console
from chat.core.sampling import Sampling
from chat.terminal.terminal import Terminal
from tests.support.fakes import ScriptedEngine, chat_with, last_message

class Endless(ScriptedEngine):
    async def generate(self, prompt, sampling, negative=(), session=""):
        async for ids in super().generate(prompt, sampling):
            yield ids[:-1]
            while "endless" in last_message(self.prompts[-1]):
                await asyncio.sleep(0.1)
                yield []

try:
    console = Console(live=True, quiet=False)
    Terminal(chat_with(Endless()), console, line_editor.from_terminal(), "", Sampling()).run()
except KeyboardInterrupt:
    sys.exit(130)
"""
READY = r"\x1b\[\?2004h"  # the prompt takes pasted text from here on


class PseudoTerminal:
    """A program in a pseudo-terminal."""

    def __init__(self, *command: str) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        self._process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(theirs)
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._seen = ""
        #: All that was shown.
        self.shown = ""

    def see(self, pattern: str) -> None:
        """Wait until `pattern` is shown, after what was waited for before."""
        deadline = time.monotonic() + 60
        while not (match := re.search(pattern, self._seen)):
            if not select.select([self._ours], [], [], deadline - time.monotonic())[0]:
                pytest.fail(f"{pattern} was not shown: {self._seen!r}")
            new = self._decoder.decode(os.read(self._ours, 65536))
            self._seen += new
            self.shown += new
        self._seen = self._seen[match.end() :]

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def code(self) -> int:
        """Wait for the end."""
        return self._process.wait(timeout=60)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal() -> Iterator[PseudoTerminal]:
    opened = PseudoTerminal("-c", SCRIPTED)
    yield opened
    opened.close()


def test_in_a_terminal_text_streams_and_ctrl_c_stops_the_reply_then_leaves(
    terminal: PseudoTerminal,
) -> None:
    terminal.see(READY)
    terminal.type("endless 日本 👩\u200d🚀\r")
    terminal.see(r"\x1b\[KYou said: endless 日本 👩\u200d🚀")  # of a reply that does not end
    terminal.type("\x03")
    terminal.see(r"Stopped: \d+ tokens")
    terminal.see(READY)
    terminal.type("still here\r")
    terminal.see(r"You said: still here\r\n.*Finished: \d+ tokens")
    terminal.see(READY)
    terminal.type("half a line\x03")  # empties the line
    terminal.type("whole\r")
    terminal.see(r"You said: whole\r\n")
    terminal.see(READY)
    terminal.type("\x03")
    assert terminal.code() == 130
    assert "\x1b[6n" not in terminal.shown, "no question that not every terminal answers"


def test_in_a_terminal_lines_are_edited_and_earlier_ones_come_back(
    terminal: PseudoTerminal,
) -> None:
    terminal.see(READY)
    terminal.type("wrldd\x7f\x1b[D\x1b[D\x1b[Do\r")  # backspace, ← ← ←
    terminal.see(r"You said: world\r\n")
    terminal.see(READY)
    terminal.type("\x1b[A!\r")  # ↑
    terminal.see(r"You said: world!\r\n")
    terminal.see(READY)
    terminal.type("one\x1b\rtwo\r")  # Alt-Enter
    terminal.see(r"You said: one\r\ntwo\r\n")
    terminal.see(READY)
    terminal.type("/undo\r")
    terminal.see(READY)
    terminal.type("!\r")  # after the message that is offered again
    terminal.see(r"You said: one\r\ntwo!\r\n")
    terminal.see(READY)
    terminal.type("\x04")
    assert terminal.code() == 0
