"""Llama-2-Chat: `[INST]` around the user, `<<SYS>>` inside the first turn.

Source: `chat_completion` in Meta's reference, llama/generation.py. Each past
turn is one encoded string between BOS and EOS; the last stays open:

    <s>[INST] <<SYS>>
    Be brief.
    <</SYS>>

    Hi [/INST] Hello. </s><s>[INST] And now? [/INST]

`[INST]` and the rest are ordinary text to the tokenizer, so a user could forge
a turn by typing them. Wherever people wrote one, an invisible U+2060 breaks it.

The reference takes a system prompt at the beginning and user and assistant in turn, and
nothing else: see `prompts.order` for how other orders are carried.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply, defuse
from prompts.order import turns

MARKS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")


class Llama2(PromptFormat):
    """The format of Llama-2-Chat and its many descendants."""

    name = "llama2"
    stop = ("</s>",)
    marks = MARKS
    gap = " "

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = turns(messages)
        texts = [defuse(message.content, self.marks) for message in dialogue]
        if system is not None:
            texts[0] = f"<<SYS>>\n{defuse(system, self.marks)}\n<</SYS>>\n\n{texts[0]}"
        pieces: list[Piece] = []
        for position, text in enumerate(map(str.strip, texts)):
            if position % 2:
                pieces += [Reply(text, before=" ", after=" "), Control("</s>")]
            else:
                pieces += [Control("<s>"), f"[INST] {text} [/INST]"]
        return pieces
