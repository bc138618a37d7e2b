r"""ChatGLM3: a role token before each message, nothing after it.

Source: `build_chat_input` and `build_single_message` in the model's own
tokenization_chatglm.py (THUDM/chatglm3-6b), which encodes the line end and the
message one by one:

    [gMASK]sop<|system|>
    Be brief.<|user|>
    Hi<|assistant|>

All marks are control tokens; typed by a person they are encoded as text. Messages may
come in any order, as the reference writes any history.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, check


class ChatGLM3(PromptFormat):
    """The format of ChatGLM3-6B."""

    name = "chatglm3"
    stop = ("<|user|>", "<|observation|>")
    gap = "\n"

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        check(messages)
        pieces: list[Piece] = [Control("[gMASK]sop")]
        for role, content, *_ in messages:
            pieces += [Control(f"<|{role}|>"), "\n", content]
        return [*pieces, Control("<|assistant|>")]
