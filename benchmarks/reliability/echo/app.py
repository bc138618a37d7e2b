"""The app, its backend or its terminal with that engine, by their own commands.

python -m benchmarks.reliability.echo.app page --server-port 7860
python -m benchmarks.reliability.echo.app backend --server-port 7861
python -m benchmarks.reliability.echo.app terminal
"""

import sys
from collections.abc import Sequence

from benchmarks.gpu.checkpoints import tokenizer as made
from benchmarks.reliability.echo.asked import due, note
from benchmarks.reliability.echo.engine import EchoEngine
from chat import load
from chat.core.chat import Chat
from chat.core.gate import Gate
from chat.core.tokens import FastTokens
from chat.settings import Settings
from prompts import Control, Message, Piece, PromptFormat, visible
from prompts.base import check

#: How many tokens there are: those of a letter each, and a few that are never read.
VOCABULARY = 300


class EchoTokens(FastTokens):
    """Tokens of one letter each, unless a text asks for their failure."""

    def encode(self, pieces: Sequence[Piece]) -> list[int]:
        """See `Tokens.encode`."""
        text = "".join(map(visible, pieces))
        if due(text, "tokenizer"):
            note("tokenizer")
            raise RuntimeError(f"cannot encode {text}")
        return super().encode(pieces)


class EchoFormat(PromptFormat):
    """`role: content` between control tokens, unless a text asks for its failure."""

    name = "echo"

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        check(messages)
        pieces: list[Piece] = []
        for message in messages:
            if due(message.content, "template"):
                note("template")
                raise RuntimeError(f"cannot write {message.content}")
            pieces += [Control(f"<s>{message.role}: "), message.content, Control("</s>")]
        return [*pieces, Control("<s>assistant: ")]


def echo(settings: Settings) -> Chat:
    """Return a chat that says what it heard."""
    tokens = EchoTokens(made(VOCABULARY))
    engine = EchoEngine(tokens, tokens.stop_ids(()))
    return Chat(engine, tokens, EchoFormat(), Gate(engine.parallel, settings.max_waiting))


def main(door: str, arguments: list[str]) -> None:
    """Start it as its own command does."""
    load.load = echo
    sys.argv[1:] = arguments
    if door == "page":
        import app

        app.main()
    elif door == "backend":
        from chat.backend import __main__ as backend

        backend.main(arguments)
    else:
        from chat import __main__ as terminal

        terminal.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
