"""One message and its reply, as values that the page keeps from when it is sent on."""

from dataclasses import dataclass
from typing import NamedTuple

from chat.core import status
from chat.core.chat import Update
from chat.web.page.history import History, entry, split_last


@dataclass(frozen=True)
class Turn:
    """A message, and what is to be replied to."""

    #: Nothing is asked if it is empty.
    message: str
    #: The conversation before it.
    before: History
    #: The conversation as it was, to which it returns if there is no answer.
    original: History
    #: What there is of the reply already.
    begun: str = ""

    @property
    def asked(self) -> History:
        """The conversation with the message."""
        return [*self.before, entry("user", self.message)]

    def answered(self, reply: str) -> History:
        """Return the conversation with a reply, if there is one."""
        return [*self.asked, entry("assistant", reply)] if reply else self.asked

    @property
    def retried(self) -> bool:
        """Whether it only asks anew for a reply that was there."""
        last = split_last(self.original)[1]
        return len(self.asked) < len(self.original) and self.message == last


@dataclass(frozen=True)
class Reply:
    """How far the reply to a turn has come."""

    #: The last that there was.
    update: Update | None = None
    #: Why it failed, in a sentence, or nothing.
    failure: str = ""

    @property
    def unanswered(self) -> bool:
        """Whether it failed, or ended before the first word."""
        if self.failure or self.update is None:
            return True
        return self.update.state in ("waiting", "reading")

    @property
    def unfinished(self) -> bool:
        """Whether it was stopped on its way, or cut off, so that there is more to say."""
        if self.failure or self.update is None:
            return False
        return self.update.state in ("writing", "length")

    @property
    def line(self) -> str:
        """The status line when nothing more will come."""
        return status.failed(self.failure) if self.failure else status.stopped(self.update)


class Outcome(NamedTuple):
    """What is on the page after a turn."""

    history: History
    #: What is put back into the text box, or None to leave that alone.
    draft: str | None
    #: Whether the reply can be continued.
    more: bool


def outcome(turn: Turn, reply: Reply) -> Outcome:
    """Return what comes of a turn: without any answer, all is as before and the message a draft."""
    text = (reply.update.text if reply.update else "") or turn.begun
    answered = bool(text.strip())
    if reply.unanswered and not answered:
        return Outcome(turn.original, None if turn.retried else turn.message, more=False)
    return Outcome(turn.answered(text), None, more=reply.unfinished and answered)
