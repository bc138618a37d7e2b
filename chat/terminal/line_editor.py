"""What the user types: a prompt with line editing, or the lines of a pipe."""

import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output.vt100 import Vt100_Output


def from_pipe(draft: str) -> str:
    """Return the next line.

    Raises:
        EOFError: there is none.
    """
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


def from_terminal() -> Callable[[str], str]:
    """Return a function that lets the user edit a draft, with the earlier lines at hand.

    They are kept in memory. The function raises EOFError for Ctrl-D, and
    KeyboardInterrupt for Ctrl-C on an empty line.
    """
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
