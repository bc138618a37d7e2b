"""One reply in OpenAI's shapes: as a whole, or in chunks."""

import secrets
import time
from typing import Any, ClassVar

from chat.core.chat import Update

FINISHED = {"finished": "stop", "length": "length"}


class TextReply:
    """What follows a text."""

    id = "cmpl"
    kind = chunk_kind = "text_completion"
    first: ClassVar[dict[str, Any]] = {"text": ""}
    last: ClassVar[dict[str, Any]] = {"text": ""}

    def __init__(self, model: str, *, with_usage: bool) -> None:
        self._head = {
            "id": f"{self.id}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
        }
        self.with_usage = with_usage

    def whole(self, update: Update) -> dict[str, Any]:
        """Return the reply, of which `update` was the last."""
        choices = [_choice(self.said(update.text), FINISHED[update.state])]
        return {**self._head, "object": self.kind, "choices": choices, "usage": _usage(update)}

    def chunk(self, said: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        """Return a chunk: with `first`, then parts of the text, then `last`."""
        chunk = {**self._head, "object": self.chunk_kind, "choices": [_choice(said, finish_reason)]}
        # The last of a stream has it, and the others then say that they do not.
        return {**chunk, "usage": None} if self.with_usage else chunk

    def end(self, update: Update) -> dict[str, Any]:
        """Return the chunk that says why the reply ended."""
        return self.chunk(self.last, FINISHED[update.state])

    def usage(self, update: Update) -> dict[str, Any]:
        """Return the chunk with the number of tokens."""
        return {**self.chunk({}), "choices": [], "usage": _usage(update)}

    def said(self, text: str) -> dict[str, Any]:
        """Return a text as it is in a whole reply."""
        return {"text": text}

    def more(self, text: str) -> dict[str, Any]:
        """Return a part of it as it is in a chunk."""
        return {"text": text}


class ChatReply(TextReply):
    """The assistant's next message."""

    id = "chatcmpl"
    kind, chunk_kind = "chat.completion", "chat.completion.chunk"
    first: ClassVar = {"delta": {"role": "assistant", "content": ""}}
    last: ClassVar = {"delta": {}}

    def said(self, text: str) -> dict[str, Any]:
        """See `TextReply.said`."""
        return {"message": {"role": "assistant", "content": text, "refusal": None}}

    def more(self, text: str) -> dict[str, Any]:
        """See `TextReply.more`."""
        return {"delta": {"content": text}}


def _choice(said: dict[str, Any], finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "logprobs": None, "finish_reason": finish_reason}


def _usage(update: Update) -> dict[str, int]:
    return {
        "prompt_tokens": update.prompt_tokens,
        "completion_tokens": update.tokens,
        "total_tokens": update.prompt_tokens + update.tokens,
    }
