"""The format of what the page exports, which it and the terminal can read.

    {"format": "fourbit-chat", "version": 1, "conversations": [
        {"title": "Rain", "saved": "2026-01-31T12:00:00Z", "messages": [
            {"role": "user", "content": "A poem?"},
            {"role": "assistant", "content": "Drops on the window."}]}]}

What was thought before a reply is its `reasoning_content`. The list of messages alone, a
system prompt first, is a conversation too. That is what the terminal saves and what other
programs read.
"""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, FailFast, Field, StrictStr, ValidationError

from chat.errors import BadRequest
from prompts.base import Message, Role


class Entry(BaseModel):
    """One message."""

    role: Role
    content: StrictStr
    #: What was thought before it.
    reasoning_content: StrictStr = Field("", exclude_if=lambda thought: not thought)

    @property
    def message(self) -> Message:
        """The same as a message of a conversation."""
        return Message(self.role, self.content, thought=self.reasoning_content)


class Conversation(BaseModel):
    """A conversation with a name, and when it was saved last."""

    title: StrictStr = ""
    saved: AwareDatetime | None = None
    messages: Annotated[list[Entry], FailFast()]  # a million faults would take gigabytes


class File(BaseModel):
    """What the page exports."""

    format: Literal["fourbit-chat"]
    version: Literal[1]
    conversations: Annotated[list[Conversation], FailFast()]


def parse(content: Any, file: str) -> list[Conversation]:
    """Return the conversations in `content`, which was JSON and has to be in this format.

    Raises:
        BadRequest: it is not; calls it `file`, and says where it is at fault.
    """
    try:
        if isinstance(content, list):
            return [Conversation(messages=content)]
        return File.model_validate(content).conversations
    except ValidationError as error:
        where = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadRequest(
            f"{file} is no conversation and no export of some"
            f"{f' ({where} is at fault)' if where else ''}."
        ) from None
