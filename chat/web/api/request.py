"""Reading a request: what is asked, how it should be sampled, and what of it is not known.

The controls are those of the page, which `Sampling` checks for every door.
"""

import asyncio
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from chat.core.conversation import LONE_SURROGATES
from chat.core.explain import explain
from chat.core.sampling import Sampling
from chat.errors import BadRequest
from chat.web.api.shape import Shape
from chat.web.api.shapes import RequestBody
from chat.web.api.thinking import CONTROLS, EFFORT, Thinks

#: Controls by the names of other APIs; each can also go by its own.
NAMES = {
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "max_output_tokens": "max_new_tokens",
    "n_predict": "max_new_tokens",
    "num_predict": "max_new_tokens",
    "min_tokens": "min_new_tokens",
    "repeat_penalty": "repetition_penalty",
    "random_seed": "seed",
    "stop_sequences": "stop",
    "guided_choice": "choices",
    "guided_regex": "regex",
    "guided_json": "json_schema",
}
#: What vLLM has in one object.
STRUCTURED = "structured_outputs"
TIES = {"choice": "choices", "regex": "regex", "json": "json_schema"}
#: Controls for which not every reply has a place.
SCORES = ("logprobs", "top_logprobs")
#: What asks for as long a reply as there is room for, and how long that is at most.
UNLIMITED, LONGEST = (-1, 0), 2**31 - 1


class Controls:
    """What a request says of how to sample."""

    def __init__(self) -> None:
        #: By the names of `Sampling`.
        self.values: dict[str, Any] = {}
        #: From those names to the request's own.
        self.names: dict[str, str] = {}
        #: What else a chat template is told.
        self.options: dict[str, Any] = {}

    def add(self, control: str, name: str, value: Any) -> None:
        """Take the value of a control that the request calls `name`."""
        if control == "max_new_tokens" and value in UNLIMITED and not isinstance(value, bool):
            value = LONGEST
        elif control in ("stop", "choices") and isinstance(value, str):
            value = [value]  # not a text of several lines, as which a page sends them
        elif control == "json_schema" and isinstance(value, dict):
            value = json.dumps(value)
        if control not in self.names:
            self.names[control] = name
            self.values[control] = value
        elif not _same(value, self.values[control]):
            other = self.names[control]
            raise BadRequest(f"{name} says something else than {other}; send one.", name)

    def add_thinking(self, body: Thinks) -> None:
        """Take what a request says of thinking in other ways than by the controls themselves."""
        for control, name, value in body.says():
            self.add(control, name, value)
        effort = self.values.pop(EFFORT, "")
        self.options = {**({EFFORT: effort} if effort else {}), **body.chat_template_kwargs}
        by_name = self.names.get(EFFORT, "chat_template_kwargs")
        self.names["options"] = "chat_template_kwargs" if body.chat_template_kwargs else by_name

    def fitting(self, *, thinks: bool) -> dict[str, Any]:
        """Return the values for a model that `thinks`, or for one to which it means nothing.

        Programs send the same to all models, but who uses the control itself means it.
        """
        return {
            control: value
            for control, value in self.values.items()
            if thinks or control not in CONTROLS or self.names[control] == control
        }


Body = TypeVar("Body", bound=Shape)


@dataclass(frozen=True)
class Asked(Generic[Body]):
    """What was read of a request."""

    body: Body
    controls: Controls
    #: The paths of what is not known here, one of each kind.
    unknown: list[str]

    def check_known(self) -> None:
        """Raise BadRequest for the first of what is not known here."""
        for path in self.unknown:
            raise BadRequest(f"{path} is not known here.", path)


async def asked(shape: type[Body], body: bytes, *, strict: bool) -> Asked[Body]:
    """Read a request; if `strict`, what is not known here is refused.

    Raises:
        BadRequest: see `read`.
    """
    # In a thread, since a long conversation would hold up everyone else's replies.
    found = await asyncio.to_thread(read, shape, body)
    if strict:
        found.check_known()
    return found


def read(shape: type[Body], body: bytes) -> Asked[Body]:
    """Read a request.

    Raises:
        BadRequest: it is not JSON, or asks for what cannot be had; names the field.
    """
    try:
        # Half a character, which JSON can write, would fail wherever it is quoted.
        whole = LONE_SURROGATES.sub("\ufffd", json.dumps(_json(body), ensure_ascii=False))
        fields = json.loads(whole)
    except (ValueError, RecursionError):
        raise BadRequest("The request is not JSON.") from None
    if not isinstance(fields, dict):
        raise BadRequest("The request must be a JSON object.")
    controls = Controls()
    if issubclass(shape, RequestBody):
        without = SCORES if shape.logprobs_by == "none" else ()
        for name, value in [(name, value) for name, value in fields.items() if value is not None]:
            control = NAMES.get(name, name)
            if name == "thinking" and isinstance(value, bool | dict):
                continue  # which a shape reads
            if name == STRUCTURED and isinstance(value, dict):
                ties = {key: tie for key, tie in value.items() if tie is not None}
                if ties.keys() <= TIES.keys():
                    del fields[name]
                    for key, tie in ties.items():
                        controls.add(TIES[key], f"{name}.{key}", tie)
                    continue
            if control in Sampling.model_fields and control not in without:
                del fields[name]
                if control == "logprobs" and shape.logprobs_by == "count" and type(value) is int:
                    controls.add("top_logprobs", name, value)
                    value = True
                controls.add(control, name, value)
    try:
        asked = shape.model_validate(fields)
    except ValidationError as error:
        where = _path(error)
        raise BadRequest(explain(error, lambda _: where), where) from None
    kinds: dict[str, str] = {}
    for path in _unknown(asked):
        kinds.setdefault(re.sub(r"\[\d+\]", "", path), path)
    if isinstance(asked, RequestBody):
        for name, schema in asked.schemas.items():
            controls.add("json_schema", name, schema)
        controls.add_thinking(asked)
    return Asked(asked, controls, list(kinds.values()))


def _json(body: bytes) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")  # NaN and the infinities, to Python they are

    def number(digits: str) -> float:
        if math.isinf(found := float(digits)):  # nor could it be written back as JSON
            raise ValueError("a number is too large")
        return found

    return json.loads(body, parse_constant=refuse, parse_float=number)


def _unknown(shape: Shape, at: str = "") -> Iterator[str]:
    """Yield the paths of what nobody here knows.

    Raises:
        BadRequest: something is known, and cannot be done.
    """
    if shape.ignored:
        yield at + str(getattr(shape, "type", ""))[:30]
        return
    known = shape.known
    for name, value in (shape.model_extra or {}).items():
        path = (at + name)[:100]
        if name in known.off:
            if not any(_same(value, off) for off in known.off[name]):
                asked = " or ".join(map(json.dumps, known.off[name]))
                raise BadRequest(f"{path} must be {asked}.", path)
        elif name in known.refused:
            if value != "":
                raise BadRequest(f"{path} is not known here.", path)
        elif name not in known.harmless:
            yield path
    for name in type(shape).model_fields:
        value = getattr(shape, name)
        if isinstance(value, Shape):
            yield from _unknown(value, f"{at}{name}.")
        elif isinstance(value, list):
            for place, one in enumerate(value):
                if isinstance(one, Shape):
                    yield from _unknown(one, f"{at}{name}[{place}].")


def _same(value: Any, off: Any) -> bool:
    return bool(value == off and isinstance(value, bool) == isinstance(off, bool))


def _path(error: ValidationError) -> str:
    """Return where the first fault is, as in messages[0].content."""
    steps = error.errors(include_url=False, include_input=False)[0]["loc"]
    path = "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}"
        for step in steps
        if not str(step).startswith("<")  # the tag of a union, which is in no request
    )
    return path.removeprefix(".")[:100]
