"""From clean messages to a prompt that fits the window."""

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from chat.core.conversation import Conversation
from chat.core.tokens import Tokens
from chat.errors import TooLong
from prompts import Message, PromptFormat
from prompts.base import Begun

#: More characters than this for each token of the window are refused or left
#: out before they cost a tokenization. Prose has about 4 to a token.
CHARACTERS_PER_TOKEN = 8
#: Tokens of the window that are kept for a reply at the most.
KEPT = 4096
#: How many characters of a message tell conversations apart.
NAMED = 1000
#: Who speaks between two messages of the user's side.
REPLYING = ("assistant", "tool")


class Prompt(NamedTuple):
    """A prompt that fits, and how many of the oldest turns it had to leave out."""

    ids: list[int]
    dropped_turns: int
    #: The same in pieces, and what of the reply is there already.
    begun: Begun
    #: The messages that it has.
    kept: Sequence[Message]


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
    `max_new_tokens` are kept for the reply, but no more than half, or than `KEPT`: it is a limit,
    which programs set high, and few replies are as long.

    Raises:
        TooLong: the last message does not fit.
    """
    kept = min(max_new_tokens, window // 2, KEPT)
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
