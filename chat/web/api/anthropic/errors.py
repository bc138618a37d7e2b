"""What can go wrong, in Anthropic's shape: {"type": "error", "error": {"type", "message"}, …}."""

from typing import Any

from starlette.responses import Response

from chat.web.api.errors import fault, json_answer
from chat.web.logs import request_id

TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}

#: To a request that is to be kept as part of a thread, after which clients send it whole.
NO_THREADS = {"error_code": "thread_unsupported_request"}


def refusal(error: Exception) -> Response:
    """Return the answer to a request that ended in `error`."""
    found = fault(error)
    type = TYPES.get(found.status, "invalid_request_error")
    body: dict[str, Any] = {"type": type, "message": found.message}
    if found.param == "thread":
        body["details"] = NO_THREADS
    answer = {"type": "error", "error": body, "request_id": request_id.get() or None}
    return json_answer(answer, found.headers, found.status)
