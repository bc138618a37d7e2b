"""No format: the text itself, for a base model to continue.

Source: none; a base model such as GPT-2 has read text without marks:

    This is a nice story that makes me

Messages follow one another as they are, a system prompt first; what the
tokenizer puts before a text (BOS, for Llama) is put before the whole. There are
no roles here, so there are none to forge.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply, check


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
        system, dialogue = check(messages)
        pieces: list[Piece] = [Control(self._bos)] if self._bos else []
        before = f"{system}\n\n" if system else ""
        for role, content in dialogue:
            if role == "user":
                pieces.append(before + content)
                before = content
            else:
                # An echo is there already.
                pieces.append(Reply(content.removeprefix(before if self._echo else "")))
                before = ""
        return pieces

    def opening(self, messages: Sequence[Message]) -> str | None:
        """See `PromptFormat.opening`."""
        return messages[-1].content if self._echo else ""
