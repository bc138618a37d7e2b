"""Where replies are written in a terminal: a printer of `Update`s.

Replies go to standard output and everything else to standard error, so that a
pipe carries replies alone.
"""

import os
import shutil
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, redirect_stdout

from chat.core import status
from chat.core.chat import Update
from chat.core.conversation import clean
from chat.errors import ChatError

ERASE_LINE = "\r\x1b[K"
#: With what was scrolled out of sight.
ERASE_SCREEN = "\x1b[2J\x1b[3J\x1b[H"

UNEXPECTED = "Something went wrong. Please try again."


class Console:
    """Writes one reply after another.

    If `live`, someone watches: until a reply begins, a line says what is being
    waited for. If `quiet`, replies and errors are all there is; else what the model thinks
    is shown too, which is no part of a reply.
    """

    def __init__(self, *, live: bool, quiet: bool) -> None:
        self.live = live
        self.quiet = quiet
        #: The reply so far, and where it stands.
        self.text = ""
        self.update: Update | None = None
        self._thought = ""
        self._thinking = False
        self._screen = live and os.environ.get("TERM") != "dumb"
        self._dim = self._screen and sys.stderr.isatty() and "NO_COLOR" not in os.environ

    async def stream(self, updates: AsyncGenerator[Update]) -> None:
        """Write a reply while it arrives, and what it took once it is there.

        Raises:
            ChatError: as `Chat.reply` does; `text` is what came before.
        """
        self.text, self.update, self._thought = "", None, ""
        try:
            async with aclosing(updates):
                async for update in updates:
                    self._show(update)
        except (ChatError, OSError):
            raise
        except Exception:  # its text may quote what someone wrote
            raise ChatError(UNEXPECTED) from None
        finally:
            self._end_thought()
            self._write("\n" if self.text else self._erased * (not self._thought))
        self.note(self._line)

    def say(self, sentence: str) -> None:
        """Show a sentence."""
        print(sentence, file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        """Show a line that can be spared."""
        if not self.quiet:
            self.say(self._dimmed(line))

    def clear(self) -> None:
        """Empty the screen, if this is one."""
        if self._screen:
            self._write(ERASE_SCREEN)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep off standard output what is printed meanwhile, by other processes too."""
        sys.stdout.flush()
        kept = os.dup(1)
        where = os.devnull if self.quiet else os.dup(2)
        with open(where, "w", errors="replace") as other, redirect_stdout(other):
            os.dup2(other.fileno(), 1)
            try:
                yield
            finally:
                os.dup2(kept, 1)
                os.close(kept)

    def _show(self, update: Update) -> None:
        # A model can write any character, and some would command the terminal.
        thought, text = clean(update.thought), clean(update.text)
        self.update = update
        if new := "" if self.quiet else thought[len(self._thought) :]:
            self._think(new)
            self._thought = thought
        if new := text[len(self.text) :]:
            self._end_thought()
            first = not (self.text or self._thought)
            self._write(self._erased * first + new)
        elif self._watched and not (text or self._thought):
            room = shutil.get_terminal_size().columns - 1
            self._write(ERASE_LINE + self._line[:room])
        self.text = text

    def _think(self, text: str) -> None:
        if not self._thinking:
            self._write(self._erased if not (self.text or self._thought) else "\n" * self.live)
        self._thinking = True
        print(self._dimmed(text), end="", file=sys.stderr, flush=True)

    def _end_thought(self) -> None:
        if self._thinking:
            print("\n", file=sys.stderr, flush=True)
        self._thinking = False

    def _dimmed(self, text: str) -> str:
        return f"\x1b[2m{text}\x1b[22m" if self._dim else text

    @property
    def _line(self) -> str:
        return status.line(self.update) if self.update else status.SENDING

    @property
    def _watched(self) -> bool:
        return self._screen and not self.quiet

    @property
    def _erased(self) -> str:
        return ERASE_LINE if self._watched else ""

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
