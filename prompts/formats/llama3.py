"""Llama-3-Instruct: a header before each message, `<|eot_id|>` after it.

Source: `ChatFormat` in Meta's reference, llama/tokenizer.py of llama3, which
encodes the line ends after a header and the message one by one:

    <|begin_of_text|><|start_header_id|>system<|end_header_id|>

    Be brief.<|eot_id|><|start_header_id|>user<|end_header_id|>

    Hi<|eot_id|><|start_header_id|>assistant<|end_header_id|>

    (and here the reply begins)

All marks are control tokens; typed by a person they are encoded as text. Messages may
come in any order, as the reference writes any dialogue.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply, check

START_HEADER, END_HEADER = Control("<|start_header_id|>"), Control("<|end_header_id|>")


class Llama3(PromptFormat):
    """The format of Llama 3, 3.1, 3.2 and 3.3."""

    name = "llama3"
    stop = ("<|eot_id|>",)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        check(messages)
        pieces: list[Piece] = [Control("<|begin_of_text|>")]
        for role, content, *_ in messages:
            pieces += [START_HEADER, role, END_HEADER, "\n\n"]
            # The empty string keeps the reply from being joined to the line ends.
            text = content.strip()
            pieces += ["", Reply(text)] if role == "assistant" else [text]
            pieces.append(Control("<|eot_id|>"))
        return [*pieces, START_HEADER, "assistant", END_HEADER, "\n\n", ""]
