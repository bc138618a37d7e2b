"""What can go wrong, in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""

import json
import logging
from collections.abc import Mapping
from math import ceil
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response

from chat.errors import (
    UNEXPECTED,
    ChatError,
    Draining,
    QueueFull,
    RateLimited,
    RequestError,
    TooLong,
    describe,
)

#: Seconds after which someone who met a full queue, or a server that ends, may ask again.
RETRY_AFTER = 5

#: For what Starlette says in two words.
SENTENCES = {404: "There is nothing here.", 405: "This address takes another method."}

log = logging.getLogger(__name__)


class Missing(HTTPException):
    """What the field `param` names is not here."""

    def __init__(self, sentence: str, param: str, code: str | None = None) -> None:
        super().__init__(404, sentence)
        self.param = param
        self.code = code


#: Some clients (httpx's `iter_lines`, for one) part lines at these too, and events with them.
LINE_ENDS = {"\x85": r"\u0085", "\u2028": r"\u2028", "\u2029": r"\u2029"}


class NoSuchModel(Missing):
    """There is no model of this name."""

    def __init__(self, there_is: str) -> None:
        sentence = f"There is no such model here; there is {there_is}."
        super().__init__(sentence, "model", "model_not_found")


def json_bytes(value: Any) -> bytes:
    """Write JSON in UTF-8, on what everybody takes for one line."""
    written = json.dumps(value, ensure_ascii=False)
    for end, escaped in LINE_ENDS.items():
        written = written.replace(end, escaped)
    return written.encode()


def json_answer(
    value: Any, headers: Mapping[str, str] | None = None, status: int = 200
) -> Response:
    """Return the answer to a request that is this value."""
    return Response(json_bytes(value), status, headers, "application/json")


class Fault(NamedTuple):
    """What is to be said of an error."""

    status: int
    message: str
    type: str = "invalid_request_error"
    #: The field that is to blame, if one is.
    param: str = ""
    code: str | None = None
    headers: Mapping[str, str] | None = None


def fault(error: Exception) -> Fault:
    """Return what is to be said of an error; one that nobody foresaw is logged."""
    match error:
        case Missing():
            return Fault(404, error.detail, param=error.param, code=error.code)
        case HTTPException(status_code=status):
            code = "invalid_api_key" if status == 401 else getattr(error, "code", None)
            sentence = SENTENCES.get(status, error.detail)
            kind = "server_error" if status >= 500 else "invalid_request_error"
            return Fault(status, sentence, kind, code=code, headers=error.headers)
        case Draining():
            headers = {"Retry-After": str(RETRY_AFTER)}
            return Fault(503, str(error), "server_error", code="draining", headers=headers)
        case QueueFull():
            headers = {"Retry-After": str(RETRY_AFTER)}
            return Fault(429, str(error), "requests", code="rate_limit_exceeded", headers=headers)
        case RateLimited():
            headers = {"Retry-After": str(ceil(error.seconds))}
            return Fault(429, str(error), error.kind, code="rate_limit_exceeded", headers=headers)
        case TooLong():
            # By these words clients know that they may try again with less.
            message = f"The prompt is too long: {str(error)[0].lower()}{str(error)[1:]}"
            return Fault(400, message, param=error.field, code="context_length_exceeded")
        case RequestError():
            return Fault(400, str(error), param=error.field)
        case ChatError():
            return Fault(500, str(error), "server_error")
        case _:
            log.error("%s", describe(error))
            return Fault(500, UNEXPECTED, "server_error")


def refusal(error: Exception) -> Response:
    """Return the answer to a request that ended in `error`."""
    status, message, type, param, code, headers = fault(error)
    body = {"message": message, "type": type, "param": param or None, "code": code}
    return json_answer({"error": body}, headers, status)
