"""What a page asks about the conversations that it saves in its browser.

A browser keeps two sealed texts of each: its title and its messages. The server keeps
nothing; it seals, and opens what it has sealed (`chat.web.page.panel.seal`). Nothing is
taken as it comes: histories and files become clean messages first, like all that is sent.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

from pydantic import ValidationError

from chat.core import imports, markdown, titling
from chat.core.chat import Chat
from chat.core.conversation import clean, dialogue
from chat.core.export import (
    DEEPEST,
    MOST_WAYS,
    Branch,
    Entry,
    Exported,
    File,
    Fork,
    branch,
)
from chat.core.imports import apart
from chat.core.made import Made
from chat.core.title import LONGEST as LONGEST_TITLE
from chat.core.title import first_words, line
from chat.errors import UNREADABLE, BadRequest
from chat.web.page.messages import given
from chat.web.page.panel.seal import LONGEST, Seal

#: More at once than this the page never asks about.
MOST_CONVERSATIONS = 1000

#: Characters of sealed texts that are opened at once to be searched, of which one may have as many.
LARGEST_SEARCH = LONGEST
#: Characters of the texts in an answer to that, until which it goes on: they were packed, and
#: a million letters that are the same are sealed as a thousand.
SEARCHED = 2_000_000

#: Bytes of the files that are imported at once.
LARGEST_IMPORT = 25_000_000
#: Bytes of a conversation that is sent at the end of a turn, within the limit of a request.
LARGEST_SETTLE = 900_000
#: Files at most of which it is said one by one why they cannot be taken.
MOST_REFUSALS = 3

Sealed = dict[str, Any]
"""A conversation as the page keeps it: `name` to show, and the sealed `title` and `text`."""


class SavedConversations:
    """The answers; `owner` is who is logged in, and nobody else can open what they save.

    `titling` is what gives conversations their titles, if anything does.
    """

    def __init__(self, seal: Seal, titling: Chat | None = None) -> None:
        self._seal = seal
        self._titling = titling

    def seal(self, owner: str | None, said: Any, system: str | None = None) -> Sealed | None:
        """Seal a conversation as the browser has it; None if nobody has said anything.

        It is a mapping: `messages` as they are on the screen, `made` what is known of each side's
        in turn, and `versions` with others in their places, as in an export (`chat.core.export`).
        `system` is the system prompt, unless it is the one that the page begins with.

        Raises:
            BadRequest: it is too long.
        """
        found = _branch(said, count())
        if not found.messages:
            return None
        title = first_words([entry.message for entry in found.messages])
        if system is not None:
            found.messages.insert(0, Entry(role="system", content=clean(system).strip()))
        return self._sealed(owner, title, found.text)

    def rename(self, owner: str | None, name: str) -> Sealed:
        """Seal a title.

        Raises:
            BadRequest: nothing of it can be seen.
        """
        if not (name := line(name)):
            raise BadRequest("A title needs at least one character.")
        return {"name": name, "title": self._seal.close(name, owner)}

    async def title(self, owner: str | None, history: Any) -> Sealed | None:
        """Seal a title that the model gives to what begins like this; None if it has none now."""
        messages = dialogue(given(history))[:2]
        name = await titling.written(self._titling, messages) if self._titling and messages else ""
        return self.rename(owner, name) if name else None

    def names(self, owner: str | None, titles: list[str]) -> list[str | None]:
        """Open titles; None for what another key or another login has sealed.

        Raises:
            BadRequest: there are more than `MOST_CONVERSATIONS`.
        """
        _check_number(titles)
        return [self._name(owner, title) for title in titles]

    def open(self, owner: str | None, text: str) -> Branch:
        """Open a conversation, whose first message may be its system prompt.

        That has no text where somebody wanted none.

        Raises:
            BadRequest: it was sealed with another key or for another login, or never.
        """
        return branch(self._seal.open(text, owner))

    def texts(self, owner: str | None, texts: list[str]) -> list[str | None]:
        """Return what is said in conversations, to search it: of all, or of the first few.

        There is one at least, and None for what another key or another login has sealed.

        Raises:
            BadRequest: there are more than `MOST_CONVERSATIONS`.
        """
        _check_number(texts)
        opened: list[str | None] = []
        size = 0
        for text in texts:
            try:
                content = self._seal.open(text, owner)
            except BadRequest:
                opened.append(None)
                continue
            saved = json.loads(content)  # which is many times as quick as to check it too
            entries = saved["messages"] if isinstance(saved, dict) else saved
            said = [entry["content"] for entry in entries if entry["role"] != "system"]
            opened.append("\n\n".join(said))
            size += len(content)
            if size > SEARCHED:
                break
        return opened

    def export(self, owner: str | None, title: str, text: str, saved: str) -> dict[str, Any]:
        """Return a conversation, saved at this time, as the content of a file.

        Raises:
            BadRequest: as for `open`.
        """
        name, found = self._said(owner, title, text)
        content = {"title": name, "saved": saved, **dict(found)}
        file = File(format="fourbit-chat", version=1, conversations=[Exported(**content)])
        return file.model_dump(mode="json")

    def markdown(self, owner: str | None, title: str, text: str) -> str:
        """Return a conversation as Markdown.

        Raises:
            BadRequest: as for `open`.
        """
        name, found = self._said(owner, title, text)
        return markdown.write(name, [entry.message for entry in found.messages])

    def import_files(self, owner: str | None, files: list[tuple[str, str]]) -> dict[str, Any]:
        """Seal the conversations in files, which anyone may have written.

        Each file is its name and its bytes in base 64. Returns the `conversations`, each with
        the time too at which it was `saved`, in milliseconds, or None; and a `sentence` on what
        was taken, and what was not and why, with a line more for each file without any.

        Raises:
            BadRequest: there is none that can be taken.
        """
        _check_number(files)
        # Sealed it may be short, but to be gone on with it has to be sent as it is.
        found, left, refused = apart.read(files, LONGEST)
        sealed = []
        for title, text, saved in found:
            try:
                if text is None:
                    raise BadRequest("This conversation is too long.")
                sealed.append({**self._sealed(owner, title, text), "saved": saved})
            except BadRequest:
                if len(files) == len(found) == 1:
                    raise
                left["too long"] += 1
        sentences = _shortened(refused)
        if not found:
            raise BadRequest("\n".join(sentences))
        sentences.insert(0, imports.sentence(len(sealed), left, "Imported"))
        return {"conversations": sealed, "sentence": "\n".join(sentences)}

    def _said(self, owner: str | None, title: str, text: str) -> tuple[str, Branch]:
        found = self.open(owner, text)
        found.messages = [entry for entry in found.messages if entry.message.size]
        return self._seal.open(title, owner), found

    def _sealed(self, owner: str | None, name: str, text: str) -> Sealed:
        return {**self.rename(owner, name), "text": self._seal.close(text, owner)}

    def _name(self, owner: str | None, title: str) -> str | None:
        try:
            return self._seal.open(title, owner, most=4 * LONGEST_TITLE)
        except BadRequest:
            return None


def _branch(said: Any, numbers: Iterator[int], deep: int = 0) -> Branch:
    """Return a conversation that a browser has, with what it forks into, all that it counts."""
    if not isinstance(said, Mapping):
        raise BadRequest(UNREADABLE)
    if next(numbers) > MOST_WAYS or deep > DEEPEST:
        raise BadRequest("This conversation has too many versions to be saved.")
    messages = [Entry(**message.entry) for message in dialogue(given(said.get("messages")))]
    found = Branch(messages=messages)
    made, versions = (said.get(key) or [] for key in ("made", "versions"))
    if len(made) == len(messages):
        for entry, how in zip(messages, made, strict=True):
            with suppress(ValidationError):
                entry.made = how and Made.model_validate(how)
    for fork in versions:
        match fork:
            case {"at": int(at), "ways": list(ways)} if 0 <= at <= len(messages):
                there = [None if way is None else _branch(way, numbers, deep + 1) for way in ways]
                if there.count(None) == 1 and all(way.messages for way in there if way):
                    found.versions.append(Fork(at=at, ways=there))
    return found


def _check_number(asked: list[Any]) -> None:
    if len(asked) > MOST_CONVERSATIONS:
        raise BadRequest(f"There may be {MOST_CONVERSATIONS:,} conversations at once.")


def _shortened(refused: list[str]) -> list[str]:
    """Return as many sentences as anybody would read."""
    more = len(refused) - MOST_REFUSALS
    if more < 2:
        return refused
    return [*refused[:MOST_REFUSALS], f"{more:,} more files cannot be taken either."]
