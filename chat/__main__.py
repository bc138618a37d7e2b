r"""The chat without a page: in a terminal, through a pipe, or as completion of a text.

    python -m chat
    printf 'Hi\nAgain\n' | python -m chat --quiet
    python -m chat complete "This is a nice story that makes me" --max-new-tokens 9

All of them are thin: the settings, the conversation and the engine are those of the page.
"""

import logging
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from functools import partial
from io import StringIO

from chat import interrupts
from chat.core.engine import Engine
from chat.errors import BadRequest, ChatError, print_anything
from chat.settings import Settings, add_flags, checked

USAGE = """python -m chat [settings]
       python -m chat complete [TEXT] [--loop] [settings]"""

DESCRIPTION = """\
Chat with a 4-bit language model in the terminal, or have it complete a text.

Replies go to standard output and all else to standard error. Where standard
input is not a terminal, each of its lines is a message. In the chat, help shows
the commands. Settings that concern the page do nothing here."""


def main(arguments: list[str]) -> None:
    """Read the settings, load the model, and open the door that was asked for."""
    print_anything()
    if sys.stdin is None:  # it was closed
        sys.stdin = StringIO()
    # The engine's log is for a server, where nobody watches; here errors are shown.
    logging.getLogger("chat").setLevel(logging.CRITICAL)
    interrupts.keep()
    try:
        chosen, settings = _parse(arguments)
        if chosen.quiet:
            # The progress bars of transformers; and those of the hub's library, ours among them,
            # which say by themselves when they are shown.
            for name in ("TQDM_DISABLE", "HF_HUB_DISABLE_PROGRESS_BARS"):
                os.environ.setdefault(name, "1")
        if settings.check:
            from chat.check import check

            sys.exit(check(settings))
        sys.exit(_complete(chosen, settings) if chosen.door else _chat(chosen, settings))
    except ChatError as error:
        sys.exit(f"Fourbit Chat: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # whoever read the replies has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def _parse(arguments: list[str]) -> tuple[Namespace, Settings]:
    """Take flags of ours and the settings' flags, in any order."""
    parser = ArgumentParser(
        "python -m chat",
        usage=USAGE,
        description=DESCRIPTION,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "door",
        nargs="?",
        choices=["complete"],
        metavar="complete",
        help="continue a text instead of chatting, as base models do; any model will",
    )
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="the text to continue; else standard input is read"
    )
    parser.add_argument(
        "--loop",
        action="store_true",
        help="with complete: write the loop over past_key_values out, and show the shapes of each "
        "step; always takes the likeliest token",
    )
    parser.add_argument("--quiet", action="store_true", help="show replies and errors alone")
    source = add_flags(parser)
    chosen = parser.parse_intermixed_args(arguments)
    if chosen.loop and not chosen.door:
        parser.error("--loop goes with complete")
    return chosen, checked(source, chosen)


def _chat(chosen: Namespace, settings: Settings) -> int:
    # Here and not above, so that --help and a wrong flag answer at once.
    from chat.load import load
    from chat.terminal import line_editor
    from chat.terminal.console import Console
    from chat.terminal.terminal import Terminal

    live = sys.stdin.isatty() and sys.stdout.isatty()
    console = Console(live=live, quiet=chosen.quiet)
    console.note("Fourbit Chat is starting ...")
    with console.aside():
        chat = load(settings.model_copy(update={"parallel": 1}))
    if live:
        console.note("Say something. help shows the commands, stop leaves.")
    asking = line_editor.from_terminal() if live else line_editor.from_pipe()
    sampling = settings.sampling(chat.suited)
    terminal = Terminal(chat, console, asking, settings.system_prompt, sampling)
    try:
        terminal.run()
    finally:
        _close(chat.engine)
    return 0 if live or terminal.faultless else 1


def _complete(chosen: Namespace, settings: Settings) -> int:
    from chat.load import load, load_loop
    from chat.terminal import line_editor
    from chat.terminal.complete import complete, show_step
    from chat.terminal.console import Console

    console = Console(live=sys.stdout.isatty() and not chosen.loop, quiet=chosen.quiet)
    text = chosen.text
    if text is None:
        if sys.stdin.isatty():
            console.note("Type the text to continue, then Ctrl-D on a line of its own.")
        text = line_editor.whole_pipe()
    if not text.strip():
        raise BadRequest("There is no text to continue.")
    plain = settings.model_copy(update={"prompt_format": "plain", "parallel": 1})
    with console.aside():
        chat = load_loop(plain, partial(show_step, console)) if chosen.loop else load(plain)
    try:
        # With the loop all at once: text between the steps would tear their lines apart.
        complete(chat, text, plain.sampling(), console, at_once=chosen.loop)
    except ChatError as error:
        if chat.engine.state == "failed":
            console.say(f"Fourbit Chat: {error}")
        raise
    finally:
        _close(chat.engine)
    return 0


def _close(engine: Engine) -> None:
    """Close it; one that has failed for good may not end, so this process does, at once."""
    failed = engine.state == "failed"
    engine.close()
    if failed:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(os.EX_SOFTWARE)


if __name__ == "__main__":
    main(sys.argv[1:])
