"""Answers, written by hand: there are 25 a second to each of a hundred who listen."""

import secrets
import time
from collections.abc import Sequence

from chat.backend.body import Ask
from chat.core.engine import Scored
from chat.core.scores import LOWEST
from chat.web.api.errors import fault, json_bytes

#: Says that there is nothing yet, and finds out who has left.
HEARTBEAT = b": \n\n"
DONE = b"data: [DONE]\n\n"


class Events:
    """What answers one request."""

    def __init__(self, ask: Ask) -> None:
        head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": ask.model,
        }
        self._start = json_bytes(head)[:-1]
        self._head = self._start + b', "choices": [{"index": 0, "text": "", '
        self._scored = ask.sampling.logprobs

    def more(self, ids: Sequence[int], reason: str | None) -> bytes:
        """Return the event for ids, after the last of which `reason` says why it was."""
        return b"data: " + self._head + self._rest(ids, reason) + b"\n\n"

    def cached(self, tokens: int) -> bytes:
        """Return the event that says how much of the prompt lay in the prefix cache."""
        usage = json_bytes({"prompt_tokens_details": {"cached_tokens": tokens}})
        return b'data: %b, "choices": [], "usage": %b}\n\n' % (self._start, usage)

    def whole(self, prompt: Sequence[int], ids: Sequence[int], reason: str) -> bytes:
        """Return the reply to a prompt, all at once."""
        read = b'"prompt_token_ids": ' + _written(prompt) + b", "
        return self._head + read + self._rest(ids, reason)

    def _rest(self, ids: Sequence[int], reason: str | None) -> bytes:
        return b'"token_ids": %b, "finish_reason": %b, "logprobs": %b}]}' % (
            _written(ids),
            f'"{reason}"'.encode() if reason else b"null",
            _scores(ids) if self._scored else b"null",
        )


def failed(error: Exception) -> bytes:
    """Return the event for an error after the first event."""
    found = fault(error)
    said = {"message": found.message, "type": found.type, "code": found.status}
    return b"data: " + json_bytes({"error": said}) + b"\n\n"


def _written(ids: Sequence[int]) -> bytes:
    return str(list(ids)).encode()  # which is JSON too


def _scores(ids: Sequence[int]) -> bytes:
    scored = [id for id in ids if isinstance(id, Scored)]
    return json_bytes(
        {
            "token_logprobs": [max(LOWEST, id.logprob) for id in scored],
            "top": [[[one, max(LOWEST, found)] for one, found in id.top] for id in scored],
        }
    )
