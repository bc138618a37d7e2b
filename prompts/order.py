"""Messages in any order, as a format can carry them.

People's programs put instructions half-way, begin with a greeting of the assistant's, or
send instructions alone. A format that writes one message after another takes that as it
is. For one that knows turns alone, as Llama-2's does, each text stays at its place:

    a later system message    is said by the user, in one message with what is beside it
    a greeting                answers an empty message of the user's
    instructions alone        come with an empty message of the user's
    several from one side     are one message
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import chain, groupby, takewhile
from operator import attrgetter

from prompts.base import Message, Role, check


class Order(IntEnum):
    """What a format can carry, from all there is to the least that every one can."""

    #: Any messages, one after another.
    ANY = 0
    #: A system message only at the beginning.
    SYSTEM_FIRST = 1
    #: And after it user and assistant in turn, from the user's first to the user's last.
    TURNS = 2
    #: The same without a system message, which is said by the user too.
    TURNS_ALONE = 3


def joined(messages: Iterable[Message]) -> list[Message]:
    """Return messages of which no two in a row are from one side, but for those of tools."""
    found: list[Message] = []
    for role, same in groupby(messages, key=attrgetter("role")):
        group = list(same)
        if role == "tool" or len(group) == 1:
            found += group
        else:
            content = "\n\n".join(one.content for one in group if one.content)
            thought = "\n\n".join(one.thought for one in group if one.thought)
            calls = tuple(chain(*(one.calls for one in group)))
            found.append(Message(role, content, calls, thought=thought))
    return found


def arranged(messages: Sequence[Message], order: Order) -> list[Message]:
    """Return the same conversation in an order that a format can carry."""
    if order is Order.ANY:
        return list(messages)
    leading = list(takewhile(lambda one: one.role == "system", messages))
    if order is Order.TURNS_ALONE:
        leading = []
    rest = messages[len(leading) :]
    dialogue = joined(one._replace(role="user") if one.role == "system" else one for one in rest)
    if order >= Order.TURNS and (not dialogue or dialogue[0].role == "assistant"):
        dialogue.insert(0, Message("user", ""))
    return [*joined(leading), *dialogue]


def answered(messages: Sequence[Message]) -> list[Message]:
    """Return the same with an empty reply to each result of a tool that the user speaks after."""
    found: list[Message] = []
    for one in messages:
        if found and found[-1].role == "tool" and one.role == "user":
            found.append(Message("assistant", ""))
        found.append(one)
    return found


def turns(messages: Sequence[Message]) -> tuple[str | None, list[Message]]:
    """Return the system prompt (None without one) and the dialogue: user, (assistant, user)*.

    Raises:
        PromptError: see `check`.
    """
    check(messages)
    return check(arranged(messages, Order.TURNS))


def in_turns(roles: Sequence[Role]) -> bool:
    """Whether these are system?, user, (assistant, user)*."""
    dialogue = roles["system" in roles[:1] :]
    return len(dialogue) % 2 == 1 and all(
        role == ("assistant" if place % 2 else "user") for place, role in enumerate(dialogue)
    )
