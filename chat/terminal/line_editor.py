"""What the user types: a prompt with line editing, or the lines of a pipe."""

import codecs
import sys
from collections.abc import Callable
from io import BufferedReader, TextIOWrapper

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.utils import is_dumb_terminal

from chat.errors import BadRequest
from prompts.unicode import BOM, decode, encoding

NO_TEXT = (
    "{} is not text in UTF-8, so it was not sent; iconv -f latin1 -t utf-8 makes that of Latin-1."
)
#: Stands in a line for bytes that are no text, which by itself never holds half a character.
UNDECODED = "\udc80"


def _undecoded(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return UNDECODED, error.end


codecs.register_error("undecoded", _undecoded)


def from_pipe() -> Callable[[str], str]:
    """Return a function that returns the next line of a pipe, as soon as it is there.

    The function raises EOFError if there is none, and BadRequest for one that
    is not text, after which the others can still be had.
    """
    begun = False

    def ask(draft: str) -> str:
        nonlocal begun
        if not begun and isinstance(sys.stdin, TextIOWrapper):
            sys.stdin.reconfigure(encoding=_encoding(sys.stdin), errors="undecoded")
        begun = True
        line = sys.stdin.readline()
        if not line:
            raise EOFError
        if UNDECODED in line:
            raise BadRequest(NO_TEXT.format("A line"))
        # Files that were put together have a mark where each begins.
        line = line.removesuffix("\n").removesuffix("\r")
        return line.replace("\0", "").removeprefix(BOM)

    return ask


def _encoding(stdin: TextIOWrapper) -> str:
    start = stdin.buffer.peek(4) if isinstance(stdin.buffer, BufferedReader) else b""
    return encoding(start[:4], stdin.encoding)


def whole_pipe() -> str:
    """Return all that is in a pipe, without the new line at its end.

    Raises:
        BadRequest: it is not text.
    """
    if not isinstance(sys.stdin, TextIOWrapper):
        return sys.stdin.read().removesuffix("\n")
    try:
        text = decode(sys.stdin.buffer.read(), sys.stdin.encoding)
    except ValueError:
        raise BadRequest(NO_TEXT.format("The text")) from None
    return text.replace("\r\n", "\n").removesuffix("\n")


def from_terminal() -> Callable[[str], str]:
    """Return a function that lets the user edit a draft, with the earlier lines at hand.

    They are kept in memory. The function raises EOFError for Ctrl-D, and
    KeyboardInterrupt for Ctrl-C on an empty line.
    """
    output = None  # for one that knows no escape sequences, such as a shell of Emacs
    if not is_dumb_terminal():
        output = Vt100_Output.from_pty(sys.stdout)
        output.enable_cpr = False  # a terminal that does not answer it would be complained about
    session: PromptSession[str] = PromptSession(
        "> ",
        multiline=True,
        prompt_continuation="  ",
        key_bindings=_keys(),
        enable_suspend=True,
        reserve_space_for_menu=0,
        output=output,
    )

    def ask(draft: str) -> str:
        print()
        return session.prompt(default=draft)

    return ask


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _interrupt(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return keys
