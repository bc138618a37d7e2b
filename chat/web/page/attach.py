"""What a page brings with a message: read here, given back, and kept nowhere."""

import asyncio
from base64 import b64decode
from typing import Any

from chat.core import files
from chat.core.chat import Chat
from chat.errors import UNREADABLE, BadRequest


class Attach:
    """Reads files for the model of a chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    async def read(
        self, owner: str | None, name: str, content: str, used: int = 0
    ) -> dict[str, Any]:
        """Return a file's `title`, its `block` before the message, and its `tokens`.

        `content` is its bytes in base 64; `used` are the tokens of other files with the message.

        Raises:
            BadRequest: there is no text in it, or no room.
            RateLimited: whoever asks has asked for too much.
        """
        try:
            data = b64decode(content)
        except ValueError:
            raise BadRequest(UNREADABLE) from None
        chat, used = self._chat, max(0, int(used))
        text = await asyncio.to_thread(files.read, name, data)
        fit = files.fitted, name, text, chat.tokens, chat.engine.window, used
        return (await chat.beside(*fit))._asdict()
