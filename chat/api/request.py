"""What a request may ask for, read into what `Chat.reply` takes.

Source: OpenAI's API reference, as the package `openai` types it. There, and
here, null is as good as nothing. The controls are those of the page, which
`Sampling` checks for every door; what is not offered is refused by its name.
"""

import json
from itertools import takewhile
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from chat.conversation import clean, text_of
from chat.errors import BadRequest
from chat.sampling import Sampling, explain

#: Controls by OpenAI's names; each can also go by its own.
NAMES = {"max_tokens": "max_new_tokens", "max_completion_tokens": "max_new_tokens"}
#: What is not offered, and may be sent as it is without it.
OFF: dict[str, Any] = {
    "n": 1,
    "best_of": 1,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "logprobs": False,
    "store": False,
}
INSTRUCTING = ("system", "developer")
ANY_OBJECT = {"type": "object", "additionalProperties": True}


def _text(content: Any) -> Any:
    """Take a list of parts for the text in them."""
    for number, part in enumerate(content if isinstance(content, list) else [], 1):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            named = f"is of the type {kind[:20]}" if isinstance(kind, str) else "is something else"
            problem = f"must be text alone, and part {number} {named}"
            raise PydanticCustomError("unfit", "{problem}", {"problem": problem})
    return clean(text_of(content)) if isinstance(content, str | list) else content


def _one(prompt: Any) -> Any:
    """Take a list of one text for that text."""
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise PydanticCustomError("unfit", "must be one text")
        prompt = prompt[0]
    return _text(prompt)


class Shape(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _given(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            raise PydanticCustomError("unfit", "must be an object")
        return {clean(name): value for name, value in fields.items() if value is not None}


class Spoken(Shape):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_text)]


class StreamOptions(Shape):
    """What a stream should hold besides the reply."""

    include_usage: bool = False


class NamedSchema(Shape):
    """A JSON schema; it is kept to, whatever `strict` says."""

    name: str = ""
    description: str = ""
    strict: bool = True
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Shape):
    """What the reply has to be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise PydanticCustomError("unfit", "must have a json_schema if that is its type")
        return self

    @property
    def written(self) -> str:
        """The schema as `Sampling` takes it, or nothing if any text will do."""
        if self.json_schema:
            return json.dumps(self.json_schema.schema_)
        return json.dumps(ANY_OBJECT) if self.type == "json_object" else ""


class Asked(Shape):
    """What can be in every request."""

    #: The field that holds what people wrote.
    written_in: ClassVar[str]

    model: str = ""  # any: there is one, and the reply says which
    user: str = ""
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def conversation(self, system_prompt: str) -> dict[str, Any]:
        """Return what `Chat.reply` is to answer; `system_prompt` is for who brings none."""
        raise NotImplementedError

    def shown(self, text: str) -> str:
        """Return what is given of a reply's text."""
        return text


class ChatAsked(Asked):
    """A request to go on with a conversation."""

    written_in = "messages"

    messages: list[Spoken]

    def conversation(self, system_prompt: str) -> dict[str, Any]:
        """See `Asked.conversation`."""
        heads = list(takewhile(lambda one: one.role in INSTRUCTING, self.messages))
        if heads:
            system_prompt = "\n\n".join(one.content for one in heads)
        for place, one in enumerate(self.messages[len(heads) :], len(heads)):
            if one.role in INSTRUCTING:
                where = f"messages[{place}].role"
                raise BadRequest(f"{where} must be user or assistant after these.", where)
        *past, last = self.messages[len(heads) :] or [Spoken(role="user", content="")]
        history = [{"role": one.role, "content": one.content} for one in past]
        return {"message": last.content, "history": history, "system_prompt": system_prompt}


class TextAsked(Asked):
    """A request to continue a text."""

    written_in = "prompt"

    prompt: Annotated[str, BeforeValidator(_one)]
    echo: bool = False

    def conversation(self, system_prompt: str) -> dict[str, Any]:
        """See `Asked.conversation`."""
        return {"message": self.prompt, "history": [], "system_prompt": system_prompt}

    def shown(self, text: str) -> str:
        """See `Asked.shown`."""
        return self.prompt + text if self.echo else text


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


A = TypeVar("A", bound=Asked)


def read(shape: type[A], body: bytes) -> tuple[A, Controls]:
    """Read a request.

    Raises:
        BadRequest: it is not JSON, or asks for what cannot be had; names the field.
    """
    try:
        fields = json.loads(body)
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
