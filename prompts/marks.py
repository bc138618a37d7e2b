"""How a family of models writes what it thinks before it replies.

A thought stands between two marks, at the beginning of a reply or between two parts of it:

    <think>                                                    Qwen3, DeepSeek-R1, GLM, SmolLM3
    They greet me.
    </think>

    Hello!
    [THINK]They greet me.[/THINK]Hello!                        Mistral
    <|START_THINKING|>They greet me.<|END_THINKING|>           Cohere
    <|channel|>analysis<|message|>They greet me.<|end|>        gpt-oss

Which marks they are is seen in the tokenizer and its chat template, never in a model's name.
The first of them may be in the prompt already, as many templates write it there.
"""

import re
from typing import Literal, NamedTuple

#: What marks are made of that are several tokens.
PART = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")
#: Tags of which the name says what they are for.
TAG = re.compile(r"</((?:\w+:)?think(?:ing)?(?::\w+)?|thought|reasoning)>")


#: As the model does, whether it does or not, or not.
Thinking = Literal["auto", "on", "off"]


class Marks(NamedTuple):
    """What stands around a thought."""

    begin: str
    end: str
    #: What stands between a thought and the reply, its end mark among it.
    closing: str
    #: What a prompt ends with for a reply without a thought.
    empty: str
    #: What stands before or after a reply, and is none of it.
    around: tuple[str, ...] = ()

    @property
    def opening(self) -> str:
        """What stands before a thought, its begin mark among it."""
        return self.begin + "\n" * self.closing.startswith("\n")

    def left_open(self, prompt: str) -> bool | None:
        """Whether a prompt that ends like this leaves a thought open; None without any mark."""
        # An end mark of another message, where messages end with the same one.
        turn = max((prompt.rfind(mark) for mark in self.around[:1]), default=-1)
        begun, ended = (prompt.rfind(mark, max(turn, 0)) for mark in (self.begin, self.end))
        return None if begun == ended else begun > ended


def tag(name: str, around: tuple[str, ...] = ()) -> Marks:
    """Return the marks of models that think in a tag of this name."""
    begin, end = f"<{name}>", f"</{name}>"
    return Marks(begin, end, f"\n{end}\n\n", f"{begin}\n\n{end}\n\n", around)


#: Granite's, around what it says after a thought.
RESPONSE = ("<response>", "</response>")


#: The ways that have no tag; a model's tokenizer or template knows both marks of one.
FAMILIES = (
    # Mistral.
    Marks("[THINK]", "[/THINK]", "[/THINK]", "[THINK][/THINK]"),
    # Apertus.
    Marks("<|inner_prefix|>", "<|inner_suffix|>", "<|inner_suffix|>", ""),
    # Cohere.
    Marks(
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "<|END_THINKING|><|START_RESPONSE|>",
        "<|START_THINKING|><|END_THINKING|><|START_RESPONSE|>",
        (
            "<|START_RESPONSE|>",
            "<|END_RESPONSE|>",
            "<|START_TEXT|>",
            "<|END_TEXT|>",
            "<|END_THINKING|>",
        ),
    ),
    # Gemma 4.
    Marks("<|channel>thought", "<channel|>", "\n<channel|>", "<|channel>thought\n<channel|>"),
    # Solar Open.
    Marks(
        "<|think|>",
        "<|end|>",
        "<|end|><|begin|>assistant<|content|>",
        "<|content|>",
        ("<|begin|>assistant", "<|content|>", "<|end|>"),
    ),
    # gpt-oss: OpenAI's Harmony, in which a commentary is said too.
    Marks(
        "<|channel|>analysis<|message|>",
        "<|end|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
        "<|channel|>final<|message|>",
        (
            "<|start|>assistant",
            "<|channel|>final<|message|>",
            "<|channel|>commentary<|message|>",
            "<|end|>",
        ),
    ),
    # Kimi K3.
    Marks(
        "<|open|>think<|sep|>",
        "<|close|>think<|sep|>",
        "<|close|>think<|sep|><|open|>response<|sep|>",
        "<|open|>response<|sep|>",
        ("<|open|>response<|sep|>", "<|close|>response<|sep|>", "<|close|>message<|sep|>"),
    ),
    # Muse.
    Marks(
        " to=self<|message|>",
        "<|eom|>",
        "<|eom|><|start|>assistant to=user<|message|>",
        " to=user<|message|>",
        ("<|start|>assistant", " to=user<|message|>", "<|eom|>"),
    ),
    # Apriel.
    Marks(
        "Here are my reasoning steps:",
        "[BEGIN FINAL RESPONSE]",
        "\n[BEGIN FINAL RESPONSE]\n",
        "[BEGIN FINAL RESPONSE]\n",
    ),
)


def recognised(written: str) -> Marks | None:
    """Return the marks in what a tokenizer or its chat template writes, or None without any."""
    for marks in FAMILIES:
        parts = PART.findall(marks.begin + marks.end)
        if all(part in written for part in parts):
            return marks
    found = TAG.search(written)
    return tag(found[1], RESPONSE * (RESPONSE[0] in written)) if found else None
