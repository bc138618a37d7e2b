"""What a page asks about the conversations that it saves in its browser.

A browser keeps two sealed texts of each: its title and its messages. The server keeps
nothing; it seals, and opens what it has sealed (`chat.web.page.panel.seal`). Nothing is
taken as it comes: histories and files become clean messages first, like all that is sent.
"""

import json
from typing import Any

from chat.core.conversation import clean, dialogue
from chat.core.export import Conversation, Entry, File, parse
from chat.errors import BadRequest
from chat.web.page.escape import unescape
from chat.web.page.panel.seal import Seal
from prompts import Message

#: The longest title, and the longest that is made from a message, in characters.
LONGEST_TITLE, USUAL_TITLE = 200, 50

#: More at once than this the page never asks about.
MOST_CONVERSATIONS = 1000

Sealed = dict[str, Any]
"""A conversation as the page keeps it: `name` to show, and the sealed `title` and `text`."""


class SavedConversations:
    """The answers; `owner` is who is logged in, and nobody else can open what they save."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal

    def seal(self, owner: str | None, history: Any) -> Sealed | None:
        """Seal what is on the screen; None if nobody has said anything.

        Raises:
            BadRequest: it is too long.
        """
        messages = [Message(role, unescape(content)) for role, content, *_ in dialogue(history)]
        return self._sealed(owner, _first_words(messages), messages) if messages else None

    def rename(self, owner: str | None, name: str) -> Sealed:
        """Seal a title.

        Raises:
            BadRequest: nothing of it can be seen.
        """
        if not (name := _line(name)):
            raise BadRequest("A title needs at least one character.")
        return {"name": name, "title": self._seal.close(name, owner)}

    def names(self, owner: str | None, titles: list[str]) -> list[str | None]:
        """Open titles; None for what another key or another login has sealed.

        Raises:
            BadRequest: there are more than `MOST_CONVERSATIONS`.
        """
        _check_number(titles)
        return [self._name(owner, title) for title in titles]

    def open(self, owner: str | None, text: str) -> list[Message]:
        """Open the messages of a conversation.

        Raises:
            BadRequest: it was sealed with another key or for another login, or never.
        """
        return dialogue(json.loads(self._seal.open(text, owner)))

    def export(self, owner: str | None, title: str, text: str, saved: str) -> dict[str, Any]:
        """Return a conversation, saved at this time, as the content of a file.

        Raises:
            BadRequest: as for `open`.
        """
        entries = [Entry(**message.entry) for message in self.open(owner, text)]
        name = self._seal.open(title, owner)
        content = {"title": name, "saved": saved, "messages": entries}
        file = File(format="fourbit-chat", version=1, conversations=[Conversation(**content)])
        return file.model_dump(mode="json")

    def import_file(self, owner: str | None, content: Any) -> list[Sealed]:
        """Seal the conversations in the content of a file, which anyone may have written.

        Each has the time too at which it was `saved`, in milliseconds, or None.

        Raises:
            BadRequest: it holds none, or an empty one, or one that is too long, or too many.
        """
        found = parse(content, "This file")
        _check_number(found)
        return [self._imported(owner, conversation) for conversation in found]

    def _imported(self, owner: str | None, found: Conversation) -> Sealed:
        messages = dialogue([entry.model_dump() for entry in found.messages])
        if not messages:
            raise BadRequest("This file holds a conversation in which nobody says anything.")
        sealed = self._sealed(owner, _line(found.title) or _first_words(messages), messages)
        return {**sealed, "saved": found.saved and found.saved.timestamp() * 1000}

    def _sealed(self, owner: str | None, name: str, messages: list[Message]) -> Sealed:
        text = json.dumps([message.entry for message in messages], ensure_ascii=False)
        return {**self.rename(owner, name), "text": self._seal.close(text, owner)}

    def _name(self, owner: str | None, title: str) -> str | None:
        try:
            return self._seal.open(title, owner)
        except BadRequest:
            return None


def _check_number(asked: list[Any]) -> None:
    if len(asked) > MOST_CONVERSATIONS:
        raise BadRequest(f"There may be {MOST_CONVERSATIONS:,} conversations at once.")


def _line(text: str) -> str:
    """Return a title of one line, which may be empty."""
    return " ".join(clean(text).split())[:LONGEST_TITLE].rstrip()


def _first_words(messages: list[Message]) -> str:
    """Return the title that a conversation has until it is renamed."""
    asked = [message for message in messages if message.role == "user"]
    text = _line([*asked, *messages][0].content)
    if len(text) <= USUAL_TITLE:
        return text
    words, space, _ = text[:USUAL_TITLE].rpartition(" ")
    return f"{words if space else text[:USUAL_TITLE]}…"
