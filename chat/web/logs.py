"""The log: as text, or a line of JSON for each request and for whatever goes wrong in it.

All that is logged while a request is answered has the id of it (see `chat.web.requests`). Nothing
that people write gets here.
"""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

from chat.errors import describe

#: Of the request that is being answered; nothing outside of one.
request_id: ContextVar[str] = ContextVar("request_id", default="")

#: The header that it comes in, and goes back in.
HEADER = "x-request-id"

#: Where a line for each request goes.
access = logging.getLogger("chat.web.requests")


class Text(logging.Formatter):
    """The message, and of which request it is; an exception is as in `Json`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return it with the id at its end."""
        id, error = request_id.get(), _error(record)
        said = _message(record) + (f" (request {id})" if id else "")
        return f"{said}\n{error}" if error else said


class Json(logging.Formatter):
    """One object a line; of an exception its type and place, as its text can quote people."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, in ASCII."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
        }
        if id := request_id.get():
            line["request_id"] = id
        if error := _error(record):
            line["error"] = error
        return json.dumps(line | vars(record).get("answered", {}))


def _message(record: logging.LogRecord) -> str:
    """Return it; after its first line, asyncio quotes the exceptions of tasks."""
    message = record.getMessage()
    return message.partition("\n")[0] if record.name == "asyncio" else message


def _error(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return describe(error) if error else ""


def begin(format: Literal["text", "json"]) -> None:
    """Write the log in this format to standard error from now on; requests only as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if format == "json" else Text())
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    if format == "json":
        access.setLevel(logging.INFO)


def adopt(name: str) -> None:
    """Have what a library logs come as all else does, and not in a format of its own."""
    logger = logging.getLogger(name)
    logger.handlers.clear()
    logger.propagate = True
