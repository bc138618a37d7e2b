"""What visitors think of replies, if the host collects it: a line of JSON for each, in a file."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from chat.core.chat import Chat
from chat.core.conversation import dialogue
from chat.errors import BadRequest, SettingsError
from chat.web.page.messages import given

#: Bytes of the file, after which no more is collected: anyone may send some.
LARGEST = 200_000_000


class Feedback:
    """Adds to a file what visitors send.

    Raises:
        SettingsError: the file cannot be written.
    """

    def __init__(self, file: Path, chat: Chat) -> None:
        self._file, self._chat = file, chat
        self._lock = Lock()
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))  # as others may not read it
        except OSError as error:
            raise SettingsError(f"--feedback cannot be written ({error.strerror}).") from None

    async def add(self, owner: str | None, history: Any, good: bool) -> None:
        """Add whether the last reply of a conversation is good, and the conversation.

        Raises:
            BadRequest: there is no reply, or the file is full.
            RateLimited: whoever sends it has asked for too much.
        """
        await self._chat.beside(self._add, history, good)

    def _add(self, history: Any, good: bool) -> None:
        messages = [message.entry for message in dialogue(given(history))]
        if not messages or messages[-1]["role"] != "assistant":
            raise BadRequest("There is no reply to rate.")
        rating = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self._chat.name,
            "good": good is True,
            "messages": messages,
        }
        line = json.dumps(rating, ensure_ascii=False).encode() + b"\n"
        with self._lock, self._file.open("ab", buffering=0) as file:
            begin = file.tell()
            if begin + len(line) > LARGEST:
                raise BadRequest("No more ratings are collected here.")
            try:
                written = file.write(line)
            except OSError:
                written = 0
            if written < len(line):  # the disk is full: half a line would spoil the next one too
                file.truncate(begin)
                raise BadRequest("Ratings cannot be kept at the moment.")
