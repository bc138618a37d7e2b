"""ChatGLM-6B: numbered rounds of question and answer.

Source: `chat` and `build_inputs_with_special_tokens` in the model's own
modeling_chatglm.py and tokenization_chatglm.py (THUDM/chatglm-6b). A first
message goes as it is; from the second on there are rounds:

    [Round 0]
    问：你好
    答：你好！
    [Round 1]
    问：你是谁？
    答：[gMASK]<sop>

It knows no system prompt, so one is put before the first question; see `prompts.order`
for one later on, and for a round that the assistant began. The marks
of a round are ordinary text to the tokenizer: wherever people wrote one, an
invisible U+2060 breaks it. A prompt is one encoded text, so that it costs its
whole length each turn, and no prompt begins with the one before.
"""

from collections.abc import Sequence

from prompts.base import Control, Message, Piece, PromptFormat, defuse
from prompts.order import turns

MARKS = ("[Round ", "问：", "答：")


class ChatGLM(PromptFormat):
    """The format of the first ChatGLM."""

    name = "chatglm"
    stop = ("<eop>",)
    marks = MARKS

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = turns(messages)
        texts = [defuse(message.content, self.marks) for message in dialogue]
        if system:
            texts[0] = "\n\n".join(filter(None, (defuse(system, self.marks), texts[0])))
        *past, question = texts
        prompt = question
        if past:
            rounds = zip(past[0::2], past[1::2], strict=True)
            prompt = "".join(
                f"[Round {number}]\n问：{asked}\n答：{answer}\n"
                for number, (asked, answer) in enumerate(rounds)
            )
            prompt += f"[Round {len(past) // 2}]\n问：{question}\n答："
        return [prompt, Control("[gMASK]<sop>")]
