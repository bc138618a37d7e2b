"""What a conversation is called."""

from collections.abc import Sequence

from chat.core.attached import split
from chat.core.conversation import clean
from prompts import Message

#: The longest title, and the longest that is made from a message, in characters.
LONGEST, USUAL = 200, 50


def line(text: str) -> str:
    """Return a title of one line, which may be empty."""
    return " ".join(clean(text).split())[:LONGEST].rstrip()


def first_words(messages: Sequence[Message]) -> str:
    """Return the title that a conversation has until it is renamed."""
    roles = [message.role for message in messages]
    first = roles.index("user" if "user" in roles else "assistant")
    files, said = split(messages[first].content)
    names = ", ".join(file.title for file in files)
    text = line(said or names or messages[first].thought)
    if len(text) <= USUAL:
        return text
    words, space, _ = text[:USUAL].rpartition(" ")
    return f"{words if space else text[:USUAL]}…"
