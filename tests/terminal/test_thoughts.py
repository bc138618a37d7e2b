"""chat.terminal.console: what a model thinks is shown apart from what it says."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from chat.core.chat import Update
from chat.core.sampling import Sampling
from chat.terminal.console import ERASE_LINE, Console
from chat.terminal.terminal import Terminal
from prompts.marks import tag
from tests.support.fakes import LineFormat, ScriptedEngine, chat_with

GROWING = (
    Update("waiting", place=1),
    Update("thinking", thought="They"),
    Update("thinking", thought="They greet."),
    Update("writing", thought="They greet.", text="Hel"),
    Update("writing", thought="They greet.", text="Hello!"),
    Update("finished", thought="They greet.", text="Hello!", tokens=5, thought_tokens=3),
)


def shown(
    capsys: pytest.CaptureFixture[str],
    *updates: Update,
    live: bool = False,
    quiet: bool = False,
) -> tuple[str, str, Console]:
    async def coming() -> AsyncGenerator[Update]:
        for update in updates:
            yield update

    console = Console(live=live, quiet=quiet)
    asyncio.run(console.stream(coming()))
    screen, notes = capsys.readouterr()
    return screen, notes, console


def test_a_pipe_gets_the_reply_and_standard_error_the_thought(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen, notes, console = shown(capsys, *GROWING)
    assert screen == "Hello!\n"
    assert notes.startswith("They greet.\n\n")
    assert console.text == "Hello!"


def test_quiet_leaves_the_thought_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, *GROWING, quiet=True)[:2] == ("Hello!\n", "")
    assert shown(capsys, *GROWING[:3], quiet=True)[:2] == ("", "")


def test_in_a_terminal_it_is_dimmed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    screen, notes, _ = shown(capsys, *GROWING, live=True)
    assert "\x1b[2mThey\x1b[22m\x1b[2m greet.\x1b[22m\n\n" in notes
    # The line that said what was waited for is gone before the thought, and only then.
    assert screen.rpartition(ERASE_LINE)[2] == "Hello!\n"


def test_a_thought_between_two_parts_of_a_reply_comes_between_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    screen, notes, _ = shown(
        capsys,
        Update("writing", text="One"),
        Update("thinking", text="One", thought="Hm."),
        Update("finished", text="One two", thought="Hm."),
    )
    assert screen == "One two\n"
    assert notes.startswith("Hm.\n\n")


def test_what_would_command_the_terminal_is_left_out_of_a_thought(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, notes, _ = shown(capsys, Update("finished", thought="a\x1b[2Jb", text="c"))
    assert notes.startswith("a[2Jb\n")


def test_a_thought_is_kept_with_its_reply_and_none_is_without_one() -> None:
    engine = ScriptedEngine(lambda prompt: "<think>abc</think>Yes")
    format = LineFormat()
    format.thoughts = tag("think")
    lines = ["Hi", "Again"]
    histories = []
    chat = chat_with(engine, format=format)
    drafts = []

    def ask(draft: str) -> str:
        drafts.append(draft)
        if not lines:
            raise EOFError
        return lines.pop(0)

    terminal = Terminal(chat, Console(live=False, quiet=True), ask, "", Sampling())
    told = format.pieces

    def watched(messages: object) -> object:
        histories.append(messages)
        return told(messages)  # type: ignore[arg-type]

    format.pieces = watched  # type: ignore[method-assign, assignment]
    terminal.run()
    assert histories[-1][1].thought == "abc"  # type: ignore[index]
    # Cut off in mid-thought there is no reply, and the message is offered again.
    lines.append("And?")
    terminal = Terminal(chat, Console(live=False, quiet=True), ask, "", Sampling(max_new_tokens=9))
    terminal.run()
    assert drafts[-1] == "And?"
