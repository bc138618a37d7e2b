"""What can go wrong, in Anthropic's shape: {"type": "error", "error": {"type", "message"}}."""

from starlette.responses import Response

from chat.web.api.errors import fault, json_bytes

TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
}


def refusal(error: Exception) -> Response:
    """Return the answer to a request that ended in `error`."""
    found = fault(error)
    type = TYPES.get(found.status, "invalid_request_error")
    body = {"type": "error", "error": {"type": type, "message": found.message}}
    return Response(json_bytes(body), found.status, found.headers, "application/json")
