"""One message and its reply, as values that the server keeps while the page shows them."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from chat.core import status
from chat.core.chat import Update
from chat.core.kept import Kept, new_id
from chat.core.made import Ending
from chat.web.page.history import (
    NO_THOUGHT,
    History,
    Thought,
    entry,
    last_reply,
    last_thought,
    split_last,
)

LOST = "The reply to the last message was lost. Edit the message to send it again."
PART_LOST = "The rest of the reply was lost."


@dataclass
class Progress:
    """How far a reply has come, as the page keeps it."""

    #: The last that there was.
    update: Update | None = None
    #: Why it failed, in a sentence, or nothing.
    failure: str = ""
    #: Where it is written, once that has begun.
    kept: Kept[Update] | None = None
    #: Whether somebody has stopped it.
    stopped: bool = False
    #: Whether anything of it has been on the screen.
    seen: bool = False
    #: Whether the whole conversation was cleared meanwhile.
    cleared: bool = False
    #: The values of the controls that it is made with, by their names.
    controls: Mapping[str, Any] = field(default_factory=dict)
    #: By which it is found again.
    id: str = field(default_factory=new_id)

    def stop(self) -> None:
        """End it, or have it never begin."""
        self.stopped = True
        if self.kept:
            self.kept.end()

    async def follow(self) -> AsyncGenerator[Update]:
        """Yield its updates from the latest on."""
        if self.kept:
            async with aclosing(self.kept.follow()) as updates:
                async for _, update in updates:
                    yield update

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
        return self.update.state in ("thinking", "writing", "length")

    @property
    def ended(self) -> Ending:
        """Why nothing more will come."""
        if self.failure:
            return "error"
        if self.update and self.update.state in ("finished", "length"):
            return "length" if self.update.state == "length" else "stop"
        return "stopped"

    @property
    def line(self) -> str:
        """The status line when nothing more will come."""
        return status.failed(self.failure) if self.failure else status.stopped(self.update)


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
    #: What was thought before that.
    thought: Thought = NO_THOUGHT
    #: Its own, since two can be on their way: Gradio cannot stop what the server has not
    #: confirmed yet, and lets it go on unseen.
    reply: Progress = field(default_factory=Progress)

    @property
    def asked(self) -> History:
        """The conversation with the message."""
        return [*self.before, entry("user", self.message)]

    def so_far(self, update: Update | None) -> tuple[str, Thought]:
        """Return what there is of the reply, and of the thought before it."""
        if update is None:
            return self.begun, self.thought
        thought = Thought(
            update.thought or self.thought.text,
            self.thought.seconds + update.thought_seconds,
            self.thought.tokens + update.thought_tokens,
        )
        return update.text or self.begun, thought

    def answered(self, text: str, thought: Thought = NO_THOUGHT) -> History:
        """Return the conversation with a reply, or a thought, if there is one."""
        return [*self.asked, *[entry("assistant", text, thought)] * bool(text or thought.text)]

    def outcome(self, *, seen: bool) -> "Outcome":
        """Return what comes of it: without any answer, all is as before and the message a draft.

        `seen` says whether anything of the reply is on the screen, as a part that is being written.
        After Stop this is asked twice, and of the second time it is there no more.
        """
        self.reply.seen = seen = self.reply.seen or seen
        text, thought = self.so_far(self.reply.update)
        answered, reply = bool((text + thought.text).strip()), self.reply
        if answered and not seen:  # it was stopped before the first word came there
            answered, reply = False, Progress(failure=reply.failure)
        if reply.unanswered and not answered:
            draft = None if self._retried else self.message
            return Outcome(self.original, reply.line, draft, more=False)
        more = reply.unfinished and answered
        return Outcome(self.answered(text, thought), reply.line, None, more)

    @property
    def lasts(self) -> bool:
        """Whether the reply is still being written."""
        return self.reply.kept is not None and not self.reply.kept.over

    @property
    def _retried(self) -> bool:
        """Whether it only asks anew for a reply that was there."""
        last = split_last(self.original)[1]
        return len(self.asked) < len(self.original) and self.message == last


class Outcome(NamedTuple):
    """What is on the page after a turn."""

    history: History
    #: The status line.
    line: str
    #: What is put back into the text box, or None to leave that alone.
    draft: str | None
    #: Whether the reply can be continued.
    more: bool


#: What there is after all was cleared.
NOTHING = Outcome([], "", None, more=False)


def lost(history: History) -> Outcome:
    """Return what is left of a turn that this server knows nothing of, as after a restart."""
    line = PART_LOST if last_reply(history) or last_thought(history).text else LOST
    return Outcome(history, line, None, more=False)
