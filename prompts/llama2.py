"""Llama-2-Chat: `[INST]` around the user, `<<SYS>>` inside the first turn.

Source: `chat_completion` in Meta's reference, llama/generation.py. Each past
turn is one encoded string between BOS and EOS; the last stays open:

    <s>[INST] <<SYS>>
    Be brief.
    <</SYS>>

    Hi [/INST] Hello. </s><s>[INST] And now? [/INST]

`[INST]` and the rest are ordinary text to the tokenizer, so a user could forge
a turn by typing them. Wherever people wrote one, an invisible U+2060 breaks it.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, check, defuse

MARKS = ("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>")
BOS, EOS = Control("<s>"), Control("</s>")


class Llama2:
    """The format of Llama-2-Chat and its many descendants."""

    name = "llama2"
    stop: tuple[str, ...] = ("</s>",)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = check(messages)
        texts = [defuse(message.content, MARKS).strip() for message in dialogue]
        if system:
            system = defuse(system, MARKS)
            texts[0] = f"<<SYS>>\n{system}\n<</SYS>>\n\n{texts[0]}"
        pieces: list[Piece] = []
        for user, assistant in zip(texts[0:-1:2], texts[1::2], strict=True):
            pieces += [BOS, f"[INST] {user} [/INST] {assistant} ", EOS]
        return [*pieces, BOS, f"[INST] {texts[-1]} [/INST]"]
