"""What can go wrong, in the shape that is expected at an address."""

import re

from starlette.responses import JSONResponse, PlainTextResponse, Response

from chat.web.api.anthropic import errors as anthropics
from chat.web.api.errors import fault, refusal

#: Where programs ask, and with a key where there is one.
PROGRAMS = ("/v1/", "/tokenize/", "/detokenize/", "/metrics/")
#: Where the page asks, with Gradio's client.
EVENTS = ("/gradio_api/run/", "/gradio_api/queue/")
#: Where Anthropic's API is.
MESSAGES = "/v1/messages/"


def plain(path: str) -> str:
    """Return an address without slashes too many, at its end or where two parts were joined."""
    return re.sub("/{2,}", "/", path).rstrip("/")


def is_for_programs(path: str) -> bool:
    """Whether programs are answered at an address, in a shape of theirs."""
    return f"{plain(path)}/".startswith(PROGRAMS)


def refused(path: str, error: Exception) -> Response:
    """Return the answer to a request to `path` that ended in `error`."""
    if f"{plain(path)}/".startswith(MESSAGES):
        return anthropics.refusal(error)
    if is_for_programs(path):
        return refusal(error)
    said = fault(error)
    if path.startswith(EVENTS):
        return JSONResponse({"error": said.message}, said.status, said.headers)
    return PlainTextResponse(said.message, said.status, said.headers)
