r"""ChatML: every message between `<|im_start|>` and `<|im_end|>`.

Source: OpenAI's chat markup language, as SmolLM2 and Qwen ship it:

    <|im_start|>system
    Be brief.<|im_end|>
    <|im_start|>user
    Hi<|im_end|>
    <|im_start|>assistant

Without a system prompt there is none here; some templates then write one of
their own. Messages may come in any order, as templates write them. Both marks are
control tokens; typed by a person they are encoded as text.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, Reply, check

START, END = Control("<|im_start|>"), Control("<|im_end|>")


class ChatML(PromptFormat):
    """The format of SmolLM2, the embedded model, and of many others."""

    name = "chatml"
    stop = ("<|im_end|>",)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        check(messages)
        pieces: list[Piece] = []
        for role, content, *_ in messages:
            reply = role == "assistant"
            said = [f"{role}\n", Reply(content)] if reply else [f"{role}\n{content}"]
            pieces += [START, *said, END, "\n"]
        return [*pieces, START, "assistant\n"]
