"""From a history of any origin to clean messages, and from those to a prompt that fits."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple

from chat.core.tokens import Tokens
from chat.errors import BadRequest, TooLong
from prompts import Message, PromptFormat
from prompts.base import NOTHING, Begun
from prompts.order import joined

#: More characters than this for each token of the window are refused or left
#: out before they cost a tokenization. Prose has about 4 to a token.
CHARACTERS_PER_TOKEN = 8

#: How many characters of a message tell conversations apart.
NAMED = 1000

#: Who speaks between two messages of the user's side.
REPLYING = ("assistant", "tool")

LONE_SURROGATES = re.compile("[\ud800-\udfff]")
CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Conversation:
    """What is to be answered: messages in any order, of which no two in a row are from one side.

    Only those of tools can be, each of which is the result of one call. If the last one is
    the assistant's, it is the part of the reply that is there already, and is to go on.
    """

    messages: Sequence[Message]

    @property
    def asked(self) -> Sequence[Message]:
        """The messages before the reply."""
        return self.messages[:-1] if self.messages[-1].role == "assistant" else self.messages

    @property
    def begun(self) -> Message:
        """The part of the reply that is there already."""
        last = self.messages[-1]
        return last if last.role == "assistant" else NOTHING

    def with_begun(self, text: str, thought: str = "") -> "Conversation":
        """Return the same conversation with this much of the reply there already."""
        begun = [Message("assistant", text, thought=thought)] if text or thought else []
        return Conversation([*self.asked, *begun])

    def with_system(self, prompt: str) -> "Conversation":
        """Return the same conversation with another system prompt at its beginning, or none."""
        system = [Message("system", prompt)] if prompt else []
        return Conversation([*system, *self.messages[self.messages[0].role == "system" :]])


class Prompt(NamedTuple):
    """A prompt that fits, and how many of the oldest turns it had to leave out."""

    ids: list[int]
    dropped_turns: int
    #: The same in pieces, and what of the reply is there already.
    begun: Begun
    #: The messages that it has.
    kept: Sequence[Message]


def rebuild(
    history: Any, message: Any, system_prompt: Any, begun: Any = "", thought: Any = ""
) -> Conversation:
    """Return the conversation in whatever a page sent.

    `history` holds mappings with `role` and `content` (a string or a list of
    parts), as Gradio keeps it. What is neither a user's nor an assistant's text
    is left out; messages in a row from one side, as a Stop or an error leaves
    them, become one. `begun` is the part of the reply that is there already, and `thought` what was
    thought before that.

    Raises:
        BadRequest: the message is empty.
    """
    message = clean(text_of(message))
    if not message.strip():
        raise BadRequest("Please write a message first.", "message")
    said = [*(history if isinstance(history, list) else []), {"role": "user", "content": message}]
    begun, thought = clean(text_of(begun)), clean(text_of(thought))
    conversation = Conversation(dialogue(said)).with_begun(begun, thought)
    return conversation.with_system(clean(text_of(system_prompt)).strip())


def dialogue(history: Any) -> list[Message]:
    """Return what of `history` is a user's or an assistant's text, in turn; either may begin."""
    return joined(entry for entry in _entries(history) if _says(entry))


def conversation(said: Iterable[Message], system_prompt: str) -> Conversation:
    """Return the conversation in messages in any order; `system_prompt` is for who brings none.

    Blank ones are left out, and those in a row from one side become one.

    Raises:
        BadRequest: nobody but the assistant says anything, or its last message calls tools,
            which come next.
    """
    cleaned = [
        message._replace(content=clean(message.content), thought=clean(message.thought))
        for message in said
    ]
    messages = joined(one for one in cleaned if _says(one) or one.calls or one.role == "tool")
    if all(message.role == "assistant" for message in messages):
        raise BadRequest("Please write a message first.", "message")
    if messages[-1].calls:
        raise BadRequest("The last message calls tools; send what they returned too.", "message")
    if messages[0].role == "system":
        system_prompt = messages[0].content
    elif any(message.role == "system" for message in cleaned):
        system_prompt = ""
    return Conversation(messages).with_system(clean(system_prompt).strip())


def _entries(history: Any) -> Iterable[Message]:
    for entry in history if isinstance(history, list) else []:
        if isinstance(entry, Mapping) and entry.get("role") in ("user", "assistant"):
            said, thought = entry.get("content"), entry.get("reasoning_content")
            yield Message(entry["role"], clean(text_of(said)), thought=clean(text_of(thought)))


def _says(message: Message) -> bool:
    return bool((message.content or message.thought).strip())


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


def check_lengths(messages: Sequence[Message], begun: Message, window: int) -> None:
    """Raise TooLong for what has more characters than are tokenized, which holds others up."""
    budget = window * CHARACTERS_PER_TOKEN
    names = {
        "system": "system prompt",
        "user": "message",
        "assistant": "reply",
        "tool": "tool's result",
    }
    sizes = [*((names[one.role], one.size) for one in messages), ("reply so far", begun.size)]
    for what, size in sizes:
        if size > budget:
            raise TooLong(f"Your {what} has {size:,} characters; the limit is {budget:,}.")


def fit(
    conversation: Conversation,
    format: PromptFormat,
    tokens: Tokens,
    *,
    window: int,
    max_new_tokens: int,
) -> Prompt:
    """Compose a prompt that leaves room for the reply, or for the rest of it.

    Whole turns (what the user's side says and the answer, with all that was called on the
    way) are dropped, oldest first, with a greeting before them; never the system prompt and
    never the last message. Where some have to be, a few more may be: they go in steps, between
    which each prompt begins as the one before it did, so that a prefix cache has that part.

    `window` is the most tokens that prompt and reply may have together, of which
    `max_new_tokens` are kept for the reply, but no more than half.

    Raises:
        TooLong: the last message does not fit.
    """
    kept = min(max_new_tokens, window // 2)
    room = window - kept
    asked, begun = conversation.asked, conversation.begun
    system = [message for message in asked[:1] if message.role == "system"]
    dialogue = list(asked[len(system) :])
    starts = _turns(dialogue)
    check_lengths([*system, *dialogue[starts[-1] :]], begun, window)

    def prompt(dropped: int) -> Prompt:
        kept = [*system, *dialogue[starts[dropped] :]]
        composed = format.begun(kept, begun)
        return Prompt(tokens.encode(composed.pieces), dropped, composed, kept)

    beyond = _beyond(dialogue, window * CHARACTERS_PER_TOKEN)
    skipped = min(bisect_left(starts, beyond), len(starts) - 1)
    dropped = skipped
    if len((fitting := prompt(skipped)).ids) > room:
        dropped = bisect_left(
            range(len(starts)),
            True,
            lo=skipped + 1,
            key=lambda dropped: len(prompt(dropped).ids) <= room,
        )
    if dropped == len(starts):
        size = len(prompt(len(starts) - 1).ids)
        what, *others = [
            *["message"] * bool(dialogue),
            *["system prompt"] * bool(system),
            *["reply so far"] * bool(begun.size),
        ]
        together = f" with the {' and the '.join(others)}" if others else ""
        raise TooLong(
            f"Your {what} takes {size:,} tokens{together}; the limit is {room:,}, "
            f"which is the model's window of {window:,} less {kept:,} for the reply."
        )
    return prompt(_in_step(dropped, len(starts))) if dropped else fitting


def _in_step(least: int, turns: int) -> int:
    """Return how many of the turns to drop, at `least` so many: mostly as many as the time before.

    It is rounded up to a power of two, or several times that: so that at most a quarter of the
    turns that fit goes too.
    """
    step = 1 << ((turns - least) // 4 + 1).bit_length() - 1
    return -(-least // step) * step


def session(messages: Sequence[Message]) -> str:
    """Return a name for the conversation, by how it begins: the same for each of its turns.

    Once its oldest turns are left out it has another, and what a cache has of it is of no use.
    """
    said = [f"{one.role} {one.content[:NAMED]}" for one in messages[:2]]
    if messages[0].role != "system":
        del said[1:]
    return sha256("\0".join(said).encode()).hexdigest()[:32]


def _turns(dialogue: Sequence[Message]) -> list[int]:
    """Return where the turns begin, the first with a greeting unless it is the last too."""
    begin = [
        place
        for place, message in enumerate(dialogue)
        if message.role not in REPLYING and (not place or dialogue[place - 1].role in REPLYING)
    ]
    return sorted({0, *(begin[1:] or begin)})


def _beyond(dialogue: Sequence[Message], budget: int) -> int:
    """Return how many of the oldest messages lie more than `budget` characters back."""
    for back, message in enumerate(reversed(dialogue)):
        budget -= message.size
        if budget < 0:
            return len(dialogue) - back
    return 0
