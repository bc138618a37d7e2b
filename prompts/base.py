"""What a prompt format is: it turns messages into pieces of prompt.

A chat model is prompted with one long sequence of tokens. Some of those tokens
are *control tokens* (`<|im_start|>`, `</s>`): they mark whose turn it is and no
text that a person writes may ever produce them. So a format does not return a
string. It returns pieces, in which what the format itself wrote (`Control`) and
what people wrote (plain `str`) stay apart until they are token ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Role = Literal["system", "user", "assistant"]

WORD_JOINER = "\u2060"


class Message(NamedTuple):
    """One message of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True)
class Control:
    """Prompt text written by a format: control tokens in it are read as such."""

    text: str


Piece = Control | str


class PromptError(ValueError):
    """A prompt cannot be composed; the message is one sentence for the user."""


class PromptFormat(Protocol):
    """Composes the prompt of one family of models."""

    name: str
    #: Control tokens that end a reply, besides the tokenizer's own EOS.
    stop: tuple[str, ...]

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the prompt that asks for the next assistant message.

        `messages` is an optional system message, then user and assistant in
        turn, first and last from the user (see `check`).
        """
        ...


def check(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """Split messages into the system prompt ("" without one) and the dialogue.

    Raises:
        PromptError: the messages are not system?, user, (assistant, user)*.
    """
    system = ""
    dialogue = list(messages)
    if dialogue and dialogue[0].role == "system":
        system = dialogue.pop(0).content
    if not dialogue:
        raise PromptError("There is no user message to answer.")
    offset = len(messages) - len(dialogue) + 1
    for index, message in enumerate(dialogue):
        expected = "assistant" if index % 2 else "user"
        if message.role != expected:
            raise PromptError(
                f"Message {offset + index} must come from the {expected}, not the {message.role}."
            )
    if dialogue[-1].role != "user":
        raise PromptError("The last message must come from the user.")
    return system, dialogue


def defuse(text: str, marks: Sequence[str]) -> str:
    """Break each of `marks` in `text` with an invisible U+2060 WORD JOINER.

    For marks that are ordinary text to a tokenizer, such as `[/INST]`: the
    reader sees the same letters, the model no longer sees the mark.
    """
    for mark in marks:
        text = text.replace(mark, mark[0] + WORD_JOINER + mark[1:])
    return text
