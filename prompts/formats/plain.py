"""No format: the text itself, for a base model to continue.

Source: none; a base model such as GPT-2 has read text without marks:

    This is a nice story that makes me

Messages follow one another as they are, a system prompt first; what the
tokenizer puts before a text (BOS, for Llama) is put before the whole. There are
no roles here, so there are none to forge, and a text keeps its place whoever wrote it.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply
from prompts.order import turns


class Plain(PromptFormat):
    """The format of base models.

    With `echo`, a reply begins with the text that it continues.
    """

    name = "plain"

    def __init__(self, bos: str = "", *, echo: bool = False) -> None:
        self._bos = bos
        self._echo = echo

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = turns(messages)
        pieces: list[Piece] = [Control(self._bos)] if self._bos else []
        before, asked = system or "", ""
        for role, content, *_ in dialogue:
            if role == "user":
                pieces.append("\n\n".join(filter(None, (before, content))))
                before, asked = "", content
            else:
                # An echo is there already.
                pieces.append(Reply(content.removeprefix(asked if self._echo else "")))
        return pieces

    def opening(self, messages: Sequence[Message]) -> str | None:
        """See `PromptFormat.opening`."""
        return turns(messages)[1][-1].content if self._echo else ""
