"""What a page brings with a message: read here, given back, and kept nowhere."""

from base64 import b64decode
from typing import Any

from chat.core import files
from chat.core.chat import Chat
from chat.errors import BadRequest


class Attach:
    """Reads files for the model of a chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat

    def read(self, name: str, content: str, used: int = 0) -> dict[str, Any]:
        """Return a file's `title`, its `block` before the message, and its `tokens`.

        `content` is its bytes in base 64; `used` are the tokens of other files with the message.

        Raises:
            BadRequest: there is no text in it, or no room.
        """
        try:
            data = b64decode(content)
        except ValueError:
            raise BadRequest("The request could not be read.") from None
        engine, tokens = self._chat.engine, self._chat.tokens
        return files.file(name, data, tokens, engine.window, max(0, int(used)))._asdict()
