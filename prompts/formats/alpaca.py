"""Alpaca: an instruction and a response under headings.

Source: the prompt without an input in train.py of Stanford Alpaca; what is said
there before the first heading is the system prompt unless one is given. It was
trained on one turn; more follow one another:

    Be brief.

    ### Instruction:
    Hi

    ### Response:Hello.

    ### Instruction:
    And now?

    ### Response:

The headings are ordinary text to any tokenizer: wherever people wrote one, an
invisible U+2060 breaks it. There is no heading for a system message later on, nor for a
reply to no instruction: see `prompts.order` for how those are carried.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply, defuse
from prompts.order import turns

MARKS = ("### Instruction:", "### Response:", "### Input:")
PREAMBLE = (
    "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request."
)


class Alpaca(PromptFormat):
    """The format of Alpaca and of those who trained on instructions like its own."""

    name = "alpaca"
    marks = MARKS

    def __init__(self, bos: str = "") -> None:
        self._bos = bos

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = turns(messages)
        head = defuse(system or PREAMBLE, self.marks)
        pieces: list[Piece] = [Control(self._bos)] if self._bos else []
        for role, content, *_ in dialogue:
            text = defuse(content, self.marks)
            if role == "user":
                pieces.append(f"{head}\n\n### Instruction:\n{text}\n\n### Response:")
                head = ""
            else:
                pieces.append(Reply(text))
        return pieces
