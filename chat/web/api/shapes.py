"""The shapes of requests, and the conversation in each.

Source: OpenAI's API reference, as the package `openai` types it. There, and
here, null is as good as nothing. What is not named here is refused by its name.
"""

import json
from itertools import takewhile
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from chat.core.conversation import Conversation, clean, rebuild, text_of
from chat.errors import BadRequest

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
        return {name: value for name, value in fields.items() if value is not None}


class ChatMessage(Shape):
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


class RequestBody(Shape):
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

    def conversation(self, system_prompt: str) -> Conversation:
        """Return what is to be answered; `system_prompt` is for who brings none."""
        raise NotImplementedError

    @property
    def repeated(self) -> str:
        """What of the request is to be at the beginning of its reply."""
        return ""


class ChatBody(RequestBody):
    """A request to go on with a conversation."""

    written_in = "messages"

    #: Only the first that is at fault is named, and to describe thousands takes seconds.
    messages: Annotated[list[ChatMessage], FailFast()]

    def conversation(self, system_prompt: str) -> Conversation:
        """See `RequestBody.conversation`."""
        heads = list(takewhile(lambda one: one.role in INSTRUCTING, self.messages))
        if heads:
            system_prompt = "\n\n".join(one.content for one in heads)
        for place, one in enumerate(self.messages[len(heads) :], len(heads)):
            if one.role in INSTRUCTING:
                where = f"messages[{place}].role"
                raise BadRequest(f"{where} must not be {one.role}, which comes first.", where)
        history = [one.model_dump() for one in self.messages[len(heads) :]]
        begun = history.pop()["content"] if history and history[-1]["role"] == "assistant" else ""
        message = history.pop()["content"] if history and history[-1]["role"] == "user" else ""
        return rebuild(history, message, system_prompt, begun)


class CompletionBody(RequestBody):
    """A request to continue a text."""

    written_in = "prompt"

    prompt: Annotated[str, BeforeValidator(_one)]
    echo: bool = False

    def conversation(self, system_prompt: str) -> Conversation:
        """See `RequestBody.conversation`."""
        return rebuild([], self.prompt, system_prompt)

    @property
    def repeated(self) -> str:
        """See `RequestBody.repeated`."""
        return self.prompt if self.echo else ""
