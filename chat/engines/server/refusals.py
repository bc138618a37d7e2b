"""What a server's refusals mean, by their kinds.

What it says is never shown nor logged, since it can quote the prompt.
"""

import json
import logging
import re
from typing import Any

from chat.errors import FAILED, Broken, EngineError, TooLong

#: How servers say that a prompt does not fit: by what they name it, and in words.
CODES = {"context_length_exceeded", "exceed_context_size_error"}
PARAMS = {"prompt", "input_tokens", "input_ids", "max_tokens"}
LENGTH = re.compile(r"context.{0,20}(length|size|window)|too (long|large)|longer than", re.I)
#: What may be logged of an error's kind.
NAME = re.compile(r"[\w-]{1,40}", re.ASCII)
#: The code of our own backend for a request under which its engine has ended.
ENDED = "engine_ended"
#: What may have ended under a request, so that it counts as such: a server, or one behind it.
BROKEN = {500, 504}
#: What finds nobody who takes the request now: proxies, and a server that is about to end.
NOBODY = {408, 425, 502, 503}

log = logging.getLogger(__name__)


class Later(Exception):
    """Nobody takes the request now; `seconds` are how long to wait, if they said so."""

    def __init__(self, *, full: bool, seconds: float | None = None, silent: bool = False) -> None:
        super().__init__()
        #: Whether it is because others are answered, and not because nobody is there.
        self.full = full
        self.seconds = seconds
        #: Whether nobody has said that: it may stand still too.
        self.silent = silent


def refusal(status: int, said: Any, retry_after: str = "") -> Exception:
    """Return what to raise for an HTTP status, and the JSON or the bytes that came with it."""
    error = _error(said)
    if status in BROKEN or error.get("code") == ENDED:
        return Broken()
    if status == 429 or status in NOBODY or status > 504:
        seconds = float(retry_after) if re.fullmatch(r"\d{1,4}", retry_after) else None
        return Later(full=status == 429, seconds=seconds)
    kind = [text for text in (error.get("type"), error.get("code")) if NAME.fullmatch(str(text))]
    log.error("The model's server refused a request (HTTP %s, %s).", status, kind)
    if status in (401, 403):
        return EngineError(
            "The model's server does not accept this app's key; whoever runs the app has to set it."
        )
    if status == 404:
        return EngineError("The model's server does not have this model any more.")
    if status == 413 or (status in (400, 422) and _is_length(error)):
        return TooLong("The conversation is longer than the model's server takes.")
    return EngineError(FAILED)


def of_event(error: Any) -> Exception:
    """Return what to raise for an error that comes after the status 200."""
    code = _error({"error": error}).get("code")
    return refusal(code if type(code) is int else 500, {"error": error})


def _error(said: Any) -> dict[str, Any]:
    """Return the part of an answer that says what is wrong, wherever it has that."""
    if isinstance(said, bytes):
        try:
            said = json.loads(said)
        except ValueError:
            said = {}
    said = said if isinstance(said, dict) else {}
    inner = said.get("error", said)
    return inner if isinstance(inner, dict) else {"message": inner}


def _is_length(error: dict[str, Any]) -> bool:
    if {error.get("code"), error.get("type")} & CODES:
        return True
    named = error.get("param") in (None, *PARAMS)
    return named and bool(LENGTH.search(str(error.get("message"))))
