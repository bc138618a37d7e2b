"""The shapes of requests for a reply, and what is to be answered in each.

Source: OpenAI's API reference, as the package `openai` types it. What else a shape may
hold is in `chat.web.api.fields`.
"""

import json
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from chat.core.conversation import Conversation, clean, rebuild
from chat.errors import BadRequest
from chat.web.api import fields
from chat.web.api.messages import Messages, conversation_in, have_calls
from chat.web.api.shape import Shape, unfit
from chat.web.api.tools import AUTO, Choice, FunctionTool, Offer, offered

ANY_OBJECT = {"type": "object", "additionalProperties": True}


class Ask(NamedTuple):
    """What one reply answers."""

    conversation: Conversation
    #: What of the request is to be at the beginning of the reply.
    repeated: str = ""


def _one(prompt: Any) -> Any:
    """Take a list of one text for that text."""
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise unfit("must be one text")
        prompt = prompt[0]
    return clean(prompt) if isinstance(prompt, str) else prompt


def _with_schema(schema: dict[str, Any]) -> None:
    """Say that a format has a schema where that is its type, and else none."""
    schema["if"] = {"properties": {"type": {"const": "json_schema"}}}
    schema["then"] = {
        "required": ["json_schema"],
        "properties": {"json_schema": {"type": "object"}},
    }
    schema["else"] = {"properties": {"json_schema": {"type": "null"}}}


class StreamOptions(Shape):
    """What a stream should hold besides the reply."""

    known = fields.STREAM_OPTIONS

    include_usage: bool = False


class NamedSchema(Shape):
    """A JSON schema; it is kept to, whatever `strict` says."""

    name: str = ""
    description: str = ""
    strict: bool = True
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormat(Shape):
    """What the reply has to be."""

    model_config = ConfigDict(json_schema_extra=_with_schema)

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise unfit("must have a json_schema if that is its type")
        return self

    @property
    def written(self) -> str:
        """The schema as `Sampling` takes it, or nothing if any text will do."""
        if self.json_schema:
            return json.dumps(self.json_schema.schema_)
        return json.dumps(ANY_OBJECT) if self.type == "json_object" else ""


class RequestBody(Shape):
    """What can be in every request for a reply."""

    known = fields.REQUEST
    #: The field that holds what people wrote.
    written_in: ClassVar[str]

    model: str = ""  # any: there is one, and the reply says which
    stream: bool = False
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None

    @property
    def schemas(self) -> dict[str, str]:
        """JSON schemas of the reply, or nothing for any text, by the fields that hold them."""
        asked = self.response_format
        return {"response_format": asked.written} if asked else {}

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """Return what is to be answered; `system_prompt` is for who brings none.

        Unless the prompt format is `tooled`, calls of tools are text in it.

        Raises:
            BadRequest: there is nothing to answer.
        """
        raise NotImplementedError

    @property
    def offer(self) -> Offer | None:
        """What may be called, if anything.

        Raises:
            BadRequest: see `offered`.
        """
        return None

    @property
    def has_calls(self) -> bool:
        """Whether something was called in it before."""
        return False


#: A text with a letter in it, alone or in a list.
Written = Annotated[str, Field(pattern=r"[^\s\x00-\x1f\x7f-\x9f]")]
OneText = Written | Annotated[list[Written], Field(min_length=1, max_length=1)]


class ChatBody(RequestBody):
    """A request to go on with a conversation."""

    known = fields.CHAT
    written_in = "messages"

    messages: Messages
    continue_final_message: bool = True
    tools: list[FunctionTool] = Field(default_factory=list)
    tool_choice: Choice = AUTO
    parallel_tool_calls: bool = True

    @property
    def offer(self) -> Offer | None:
        """See `RequestBody.offer`."""
        return offered(self.tools, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def has_calls(self) -> bool:
        """See `RequestBody.has_calls`."""
        return have_calls(self.messages)

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """See `RequestBody.asks`."""
        found = conversation_in(self.messages, system_prompt, tooled=tooled)
        if found.begun and not self.continue_final_message:
            where = "continue_final_message"
            raise BadRequest(f"{where} must be true where the last message is a reply.", where)
        return [Ask(found)]


class CompletionBody(RequestBody):
    """A request to continue a text."""

    known = fields.COMPLETION
    written_in = "prompt"

    prompt: Annotated[str, BeforeValidator(_one, json_schema_input_type=OneText)]
    echo: bool = False

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """See `RequestBody.asks`."""
        repeated = self.prompt if self.echo else ""
        return [Ask(rebuild([], self.prompt, system_prompt), repeated)]
