"""What visitors think of replies, if the host collects it: a line of JSON for each, in a file."""

import json
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

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

    def __init__(self, file: Path, model: str) -> None:
        self._file, self._model = file, model
        self._lock = Lock()
        try:
            with file.open("ab"):
                pass
        except OSError as error:
            raise SettingsError(f"--feedback cannot be written ({error.strerror}).") from None

    def add(self, history: Any, good: bool) -> None:
        """Add whether the last reply of a conversation is good, and the conversation.

        Raises:
            BadRequest: there is no reply, or the file is full.
        """
        messages = [message.entry for message in dialogue(given(history))]
        if not messages or messages[-1]["role"] != "assistant":
            raise BadRequest("There is no reply to rate.")
        rating = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "model": self._model,
            "good": good is True,
            "messages": messages,
        }
        line = json.dumps(rating, ensure_ascii=False).encode() + b"\n"
        with self._lock, self._file.open("ab") as file:
            if file.tell() + len(line) > LARGEST:
                raise BadRequest("No more ratings are collected here.")
            file.write(line)
