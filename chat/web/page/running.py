"""Replies that are being written, for pages that were cut off from them and come back.

A browser keeps a sealed token of the reply to the conversation that it shows, beside that
conversation. Nobody else has one, and none opens for another login.
"""

from collections.abc import AsyncGenerator

from chat.core import status
from chat.core.chat import Update
from chat.core.gate import Gate
from chat.core.kept import Forgotten, Kept, Replies
from chat.errors import BadRequest
from chat.web.page.panel.seal import Seal
from chat.web.page.turn import Turn


class Running:
    """The replies to all pages, each known by what its turn is sealed as."""

    def __init__(self, gate: Gate, seconds: float, seal: Seal) -> None:
        self._replies = Replies[Update](gate, seconds, _size, latest=True)
        self._seal = seal

    def token(self, turn: Turn, login: str | None) -> str:
        """Return what a page of this login finds the turn by."""
        return self._seal.close(turn.reply.id, login)

    def begin(self, turn: Turn, updates: AsyncGenerator[Update], login: str | None) -> None:
        """Have the reply of a turn written."""
        reply = turn.reply
        reply.kept = self._replies.begin(updates, login, turn, reply.id)

    def find(self, token: str, login: str | None) -> Turn:
        """Return the turn of a token.

        Raises:
            BadRequest: there is none, or not for this login.
        """
        turn: Turn = self._find(token, login).about
        return turn

    def line(self, login: str | None, token: str) -> str:
        """Return the status line of a reply that can be come back to, or nothing."""
        try:
            found = self._find(token, login)
        except BadRequest:
            return ""
        return status.line(found.newest) if found.newest else status.SENDING

    def _find(self, token: str, login: str | None) -> Kept[Update]:
        try:
            return self._replies.find(self._seal.open(token, login), login)
        except Forgotten:
            raise BadRequest("This reply is over.") from None


def _size(update: Update) -> int:
    """Return about as many bytes as an update takes, with the conversation that it answers."""
    return 4 * (len(update.prompt) + len(update.text) + len(update.thought))
