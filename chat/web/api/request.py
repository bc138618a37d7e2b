"""Reading a request: what is asked, and how it should be sampled.

The controls are those of the page, which `Sampling` checks for every door.
"""

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from chat.core.conversation import LONE_SURROGATES
from chat.core.explain import explain
from chat.core.sampling import Sampling
from chat.errors import BadRequest
from chat.web.api.shapes import RequestBody

#: Controls by OpenAI's names; each can also go by its own.
NAMES = {"max_tokens": "max_new_tokens", "max_completion_tokens": "max_new_tokens"}
#: What is not offered, and may be sent as it is without it.
OFF: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "logit_bias": {},
    "logprobs": False,
    "store": False,
}


class Controls:
    """What a request says of how to sample."""

    def __init__(self) -> None:
        #: By the names of `Sampling`.
        self.values: dict[str, Any] = {}
        #: From those names to the request's own.
        self.names: dict[str, str] = {}

    def add(self, control: str, name: str, value: Any) -> None:
        """Take the value of a control that the request calls `name`."""
        if control in self.names:
            raise BadRequest(f"{name} says the same as {self.names[control]}; send one.", name)
        self.names[control] = name
        self.values[control] = value


Body = TypeVar("Body", bound=RequestBody)


def read(shape: type[Body], body: bytes) -> tuple[Body, Controls]:
    """Read a request.

    Raises:
        BadRequest: it is not JSON, or asks for what cannot be had; names the field.
    """
    try:
        # Half a character, which JSON can write, would fail wherever it is quoted.
        whole = LONE_SURROGATES.sub("\ufffd", json.dumps(json.loads(body), ensure_ascii=False))
        fields = json.loads(whole)
    except (ValueError, RecursionError):
        raise BadRequest("The request is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequest("The request must be a JSON object.")
    controls = Controls()
    for name in [name for name, value in fields.items() if value is not None]:
        if name in OFF:
            value, off = fields.pop(name), OFF[name]
            if value != off or isinstance(value, bool) != isinstance(off, bool):
                raise BadRequest(f"{name} must be {json.dumps(off)}.", name)
        elif (control := NAMES.get(name, name)) in Sampling.model_fields:
            value = fields.pop(name)
            # Not a text of several lines, as which a page sends them.
            one = control == "stop" and isinstance(value, str)
            controls.add(control, name, [value] if one else value)
    try:
        asked = shape.model_validate(fields)
    except ValidationError as error:
        where = _path(error)
        raise BadRequest(explain(error, lambda _: where), where) from None
    if asked.stream_options and not asked.stream:
        raise BadRequest("stream_options can only be set with stream.", "stream_options")
    if asked.response_format:
        controls.add("json_schema", "response_format", asked.response_format.written)
    return asked, controls


def _path(error: ValidationError) -> str:
    """Return where the first fault is, as in messages[0].content."""
    steps = error.errors(include_url=False, include_input=False)[0]["loc"]
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.removeprefix(".")[:100]
