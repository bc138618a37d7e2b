"""From a history of any origin to clean messages, and from those to a prompt that fits."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from chat.core.tokens import Tokens
from chat.errors import BadRequest, TooLong
from prompts import Message, PromptFormat

#: More characters than this for each token of the window are refused or left
#: out before they cost a tokenization. Prose has about 4 to a token.
CHARACTERS_PER_TOKEN = 8

LONE_SURROGATES = re.compile("[\ud800-\udfff]")
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Conversation:
    """What is to be answered: system?, user, (assistant, user)*, and perhaps an assistant's.

    That last one is the part of the reply that is there already, and is to go on.
    """

    messages: Sequence[Message]

    @property
    def asked(self) -> Sequence[Message]:
        """The messages up to the user's last one."""
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def begun(self) -> str:
        """The part of the reply that is there already."""
        role, content = self.messages[-1]
        return content if role == "assistant" else ""

    def with_begun(self, text: str) -> "Conversation":
        """Return the same conversation with `text` there already, or nothing of the reply."""
        return Conversation([*self.asked, *([Message("assistant", text)] if text else [])])

    def with_system(self, prompt: str) -> "Conversation":
        """Return the same conversation under another system prompt, or none."""
        system = [Message("system", prompt)] if prompt else []
        return Conversation([*system, *(one for one in self.messages if one.role != "system")])


class Prompt(NamedTuple):
    """A prompt that fits, and how many of the oldest turns it had to leave out."""

    ids: list[int]
    dropped_turns: int


def rebuild(history: Any, message: Any, system_prompt: Any, begun: Any = "") -> Conversation:
    """Return the conversation in whatever the page or an API client sent.

    `history` holds mappings with `role` and `content` (a string or a list of
    parts), as Gradio keeps it. What is neither a user's nor an assistant's text
    is left out; messages in a row from one side, as a Stop or an error leaves
    them, become one. `begun` is the part of the reply that is there already.

    Raises:
        BadRequest: the message is empty.
    """
    message = clean(text_of(message))
    if not message.strip():
        raise BadRequest("Please write a message first.", "message")
    said = [*(history if isinstance(history, list) else []), {"role": "user", "content": message}]
    conversation = Conversation(dialogue(said)).with_begun(clean(text_of(begun)))
    return conversation.with_system(clean(text_of(system_prompt)).strip())


def dialogue(history: Any) -> list[Message]:
    """Return what of `history` is a user's or an assistant's text: (user, assistant)*, user?."""
    found: list[Message] = []
    entries = ((role, content) for role, content in _entries(history) if content.strip())
    for role, group in groupby(entries, key=itemgetter(0)):
        if found or role == "user":
            content = "\n\n".join(content for _, content in group)
            found.append(Message("user" if role == "user" else "assistant", content))
    return found


def _entries(history: Any) -> Iterable[tuple[str, str]]:
    for entry in history if isinstance(history, list) else []:
        if isinstance(entry, Mapping) and entry.get("role") in ("user", "assistant"):
            yield entry["role"], clean(text_of(entry.get("content")))


def text_of(content: Any) -> str:
    """Return the text in a message's content: a string, a part, or a list of parts."""
    match content:
        case str():
            return content
        case {"text": str(text)}:
            return text
        case list():
            return "".join(text_of(part) for part in content if not isinstance(part, list))
        case _:
            return ""


def clean(text: str) -> str:
    """Replace what is not a character, and drop control characters but tab and new line."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return CONTROL_CHARACTERS.sub("", LONE_SURROGATES.sub("\ufffd", text))


def fit(
    conversation: Conversation,
    format: PromptFormat,
    tokens: Tokens,
    *,
    window: int,
    max_new_tokens: int,
) -> Prompt:
    """Compose the longest prompt that leaves room for the reply, or for the rest of it.

    Whole turns (a user's message and its answer) are dropped, oldest first;
    never the system prompt and never the last message.

    `window` is the most tokens that prompt and reply may have together, of
    which `max_new_tokens` are kept for the reply.

    Raises:
        BadRequest: the reply alone would fill the window.
        TooLong: the last message does not fit.
    """
    room = window - max_new_tokens
    if room <= 0:
        raise BadRequest(
            f"Max new tokens must be less than the model's window of {window:,}.", "max_new_tokens"
        )
    asked, begun = conversation.asked, conversation.begun
    system = [message for message in asked[:1] if message.role == "system"]
    dialogue = list(asked[len(system) :])
    budget = window * CHARACTERS_PER_TOKEN
    texts = [("system prompt", message.content) for message in system]
    for what, text in [*texts, ("message", dialogue[-1].content), ("reply so far", begun)]:
        if len(text) > budget:
            raise TooLong(f"Your {what} has {len(text):,} characters; the limit is {budget:,}.")
    turns = (len(dialogue) + 1) // 2
    skipped = _beyond(dialogue, budget)

    def encode(dropped: int) -> list[int]:
        kept = [*system, *dialogue[2 * dropped :]]
        return tokens.encode(format.begun(kept, begun) if begun else format.pieces(kept))

    if len(ids := encode(skipped)) <= room:
        return Prompt(ids, skipped)
    dropped = bisect_left(
        range(turns), True, lo=skipped + 1, key=lambda dropped: len(encode(dropped)) <= room
    )
    if dropped == turns:
        size = len(encode(turns - 1))
        others = ["the system prompt"] * bool(system) + ["the reply so far"] * bool(begun)
        together = f" with {' and '.join(others)}" if others else ""
        raise TooLong(
            f"Your message takes {size:,} tokens{together}; the limit is {room:,}, "
            f"which is the model's window of {window:,} less {max_new_tokens:,} for the reply."
        )
    return Prompt(encode(dropped), dropped)


def _beyond(dialogue: Sequence[Message], budget: int) -> int:
    """Return how many of the oldest turns lie more than `budget` characters back."""
    for back, message in enumerate(reversed(dialogue)):
        budget -= len(message.content)
        if budget < 0:
            # An odd number of messages counts back to a user's, with which a turn starts.
            kept_turns = (back + 1) // 2
            return (len(dialogue) + 1) // 2 - kept_turns
    return 0
