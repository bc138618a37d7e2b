"""A prompt that is there already, as token ids: what some programs send instead of a text."""

from collections.abc import Sequence

from prompts.base import Ids, Message, Piece, PromptFormat


class Given(PromptFormat):
    """Continues `ids`, and reads nothing of the messages."""

    name = "given"

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = tuple(ids)

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        return [Ids(self._ids)]

    def opening(self, messages: Sequence[Message]) -> str | None:
        """See `PromptFormat.opening`."""
        return ""
