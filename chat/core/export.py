"""The format of what the page exports, which it and the terminal can read.

    {"format": "fourbit-chat", "version": 1, "conversations": [
        {"title": "Rain", "saved": "2026-01-31T12:00:00Z", "messages": [
            {"role": "user", "content": "A poem?"},
            {"role": "assistant", "content": "Drops on the window."}]}]}

What was thought before a reply is its `reasoning_content`. The list of messages alone, a
system prompt first, is a conversation too. That is what the terminal saves and what other
programs read.

Where a message was edited, or a reply written anew, there are several ways on. `messages` is
the one that was on the screen; the others are beside it, each to its end:

    "versions": [{"at": 1, "ways": [{"messages": [
        {"role": "assistant", "content": "No poem."}]}, null]}]
"""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    FailFast,
    Field,
    NonNegativeInt,
    StrictStr,
    ValidationError,
)

from chat.core.made import Made
from chat.errors import BadRequest
from prompts.base import Message, Role


class Entry(BaseModel):
    """One message."""

    role: Role
    content: StrictStr
    #: What was thought before it.
    reasoning_content: StrictStr = Field("", exclude_if=lambda thought: not thought)
    #: How it was made, if that is known.
    made: Made | None = Field(None, exclude_if=lambda made: made is None)

    @property
    def message(self) -> Message:
        """The same as a message of a conversation."""
        return Message(self.role, self.content, thought=self.reasoning_content)


#: Versions of one conversation in all, and inside of each other, as a reader of JSON goes down.
MOST_WAYS, DEEPEST = 1000, 100


class Fork(BaseModel):
    """A place from which a conversation goes on in several ways."""

    #: How many messages of its branch come before it, a system prompt aside.
    at: NonNegativeInt
    #: In the order in which they came; None is the one that the branch itself takes.
    ways: list["Branch | None"]


Messages = Annotated[list[Entry], FailFast()]  # a million faults would take gigabytes
Forks = Annotated[list[Fork], FailFast(), Field(exclude_if=lambda forks: not forks)]


class Branch(BaseModel):
    """A conversation from some message on, with all that it forks into."""

    messages: Messages
    versions: Forks = []

    @property
    def text(self) -> str:
        """The same as it is saved: without versions a list, as it was before there were any."""
        saved = self.model_dump(mode="json")
        return json.dumps(saved if self.versions else saved["messages"], ensure_ascii=False)


def ways(forks: Sequence[Fork]) -> int:
    """Return how many ways there are in forks, and in what those fork into."""
    there = [way for fork in forks for way in fork.ways]
    return len(there) + sum(ways(way.versions) for way in there if way)


def branch(text: str) -> Branch:
    """Return what was saved as this text."""
    saved = json.loads(text)
    return Branch(**saved) if isinstance(saved, dict) else Branch(messages=saved)


class Exported(BaseModel):
    """A conversation with a name, and when it was saved last."""

    title: StrictStr = ""
    saved: AwareDatetime | None = None
    messages: Messages
    versions: Forks = []


class File(BaseModel):
    """What the page exports."""

    format: Literal["fourbit-chat"]
    version: Literal[1]
    conversations: Annotated[list[Exported], FailFast()]


def parse(content: Any, file: str) -> list[Exported]:
    """Return the conversations in `content`, which was JSON and has to be in this format.

    Raises:
        BadRequest: it is not; calls it `file`, and says where it is at fault.
    """
    try:
        if isinstance(content, list):
            return [Exported(messages=content)]
        return File.model_validate(content).conversations
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadRequest(
            f"{file} is no conversation and no export of some"
            f"{f' ({where} is at fault)' if where else ''}."
        ) from None
