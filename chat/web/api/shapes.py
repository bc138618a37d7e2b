"""The shapes of requests, and the conversation in each.

Source: OpenAI's API reference, as the package `openai` types it. There, and
here, null is as good as nothing. What else a shape may hold is in `chat.web.api.fields`.
"""

import json
from collections.abc import Mapping
from itertools import count
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from chat.core.conversation import Conversation, clean, conversation, rebuild
from chat.errors import BadRequest
from chat.web.api import fields
from prompts import Role

ANY_OBJECT = {"type": "object", "additionalProperties": True}
#: The parts that are text: OpenAI's of two APIs, and what an assistant said instead of a reply.
TEXTS = ("text", "input_text", "output_text", "refusal")


def _unfit(problem: str) -> PydanticCustomError:
    return PydanticCustomError("unfit", "{problem}", {"problem": problem})


def _parts(content: Any) -> Any:
    """Take strings and parts in a list for parts of text, of which alone a content may consist."""
    if not isinstance(content, str | list):
        raise _unfit("must be text")
    return content if isinstance(content, str) else list(map(_part, count(1), content))


def _part(number: int, part: Any) -> dict[str, Any]:
    part = {"text": part} if isinstance(part, str) else part
    kind = None
    if isinstance(part, dict):
        part = {"type": "text"} | _given(part)
        kind = part["type"]
        if kind == "refusal":
            part = {"text" if name == kind else name: value for name, value in part.items()}
    if kind not in TEXTS or not isinstance(part.get("text"), str):
        named = f"is of the type {kind[:20]}" if isinstance(kind, str) else "is something else"
        raise _unfit(f"must be text alone, and part {number} {named}")
    return dict(part)


def _one(prompt: Any) -> Any:
    """Take a list of one text for that text."""
    if isinstance(prompt, list):
        if len(prompt) != 1 or not isinstance(prompt[0], str):
            raise _unfit("must be one text")
        prompt = prompt[0]
    return clean(prompt) if isinstance(prompt, str) else prompt


def _written(arguments: Any) -> Any:
    """Take arguments that a client has read already for what they were read from."""
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments


def _given(shape: Any) -> dict[str, Any]:
    """Return what of an object is not null."""
    if not isinstance(shape, dict):
        raise _unfit("must be an object")
    return {name: value for name, value in shape.items() if value is not None}


def _silent(schema: dict[str, Any]) -> None:
    """Say that an assistant's message may be without a content."""
    schema["required"] = ["role"]
    schema["if"] = {"properties": {"role": {"const": "assistant"}}}
    schema["else"] = {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}}


def _with_schema(schema: dict[str, Any]) -> None:
    """Say that a format has a schema where that is its type, and else none."""
    schema["if"] = {"properties": {"type": {"const": "json_schema"}}}
    schema["then"] = {
        "required": ["json_schema"],
        "properties": {"json_schema": {"type": "object"}},
    }
    schema["else"] = {"properties": {"json_schema": {"type": "null"}}}


class Shape(BaseModel):
    """A part of a request. What is not known here is kept beside the fields, to be named."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    known: ClassVar[fields.Known] = fields.Known()

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, shape: Any) -> Any:
        return _given(shape)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe what is known beside the fields too, and what may be null."""
        schema = handler(core_schema)
        found = handler.resolve_ref_schema(schema)
        for name, own in found["properties"].items():
            if name not in found.get("required", ()):
                found["properties"][name] = {"anyOf": [own, {"type": "null"}]}
        found["properties"] |= fields.described(cls.known)
        return schema


class Part(Shape):
    """A part of a content."""

    known = fields.PART

    type: Literal["text", "input_text", "output_text", "refusal"] = "text"
    text: str


class FunctionCall(Shape):
    """What an assistant called, with its arguments in JSON."""

    name: str
    arguments: Annotated[
        str, BeforeValidator(_written, json_schema_input_type=str | dict[str, Any])
    ] = ""


class ToolCall(Shape):
    """One of its calls."""

    known = fields.CALL

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class ChatMessage(Shape):
    """One message, as clients write it, or keep it from an earlier reply."""

    known = fields.MESSAGE
    model_config = ConfigDict(json_schema_extra=_silent)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        str | list[Part], BeforeValidator(_parts, json_schema_input_type=str | list[str | Part])
    ]
    name: str = ""
    refusal: str = ""
    tool_calls: list[ToolCall] = []
    function_call: FunctionCall | None = None
    tool_call_id: str = ""

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, shape: Any) -> Any:
        shape = _given(shape)
        return {"content": "", **shape} if shape.get("role") == "assistant" else shape

    @property
    def text(self) -> str:
        """The text in its content."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)

    def said(self, called: Mapping[str, str]) -> tuple[Role, str]:
        """Return whose side it is on, and what it says there.

        `called` are the names of what was called before, by the ids of the calls. A name
        stands before what its bearer says, but not before what the assistant does.
        """
        name = self.name
        match self.role:
            case "assistant":
                calls = [call.function for call in self.tool_calls]
                calls += [self.function_call] if self.function_call else []
                written = [f"{call.name}({call.arguments})" for call in calls]
                return "assistant", "\n\n".join(filter(None, [self.text or self.refusal, *written]))
            case "tool" | "function":
                name = name or called.get(self.tool_call_id) or self.role
                return "user", f"{name}: {self.text}"
            case "user":
                role: Role = "user"
            case _:
                role = "system"
        named = bool(name and self.text.strip() and name != self.role)
        return role, f"{name}: {self.text}" if named else self.text


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
            raise _unfit("must have a json_schema if that is its type")
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


#: A text with a letter in it, alone or in a list.
Written = Annotated[str, Field(pattern=r"[^\s\x00-\x1f\x7f-\x9f]")]
OneText = Written | Annotated[list[Written], Field(min_length=1, max_length=1)]
#: Only the first that is at fault is named, and to describe thousands takes seconds.
Messages = Annotated[list[ChatMessage], FailFast(), Field(json_schema_extra={"minItems": 1})]


class ChatBody(RequestBody):
    """A request to go on with a conversation."""

    known = fields.CHAT
    written_in = "messages"

    messages: Messages
    continue_final_message: bool = True

    def conversation(self, system_prompt: str) -> Conversation:
        """See `RequestBody.conversation`."""
        found = conversation_in(self.messages, system_prompt)
        if found.begun and not self.continue_final_message:
            where = "continue_final_message"
            raise BadRequest(f"{where} must be true where the last message is a reply.", where)
        return found


class CompletionBody(RequestBody):
    """A request to continue a text."""

    known = fields.COMPLETION
    written_in = "prompt"

    prompt: Annotated[str, BeforeValidator(_one, json_schema_input_type=OneText)]
    echo: bool = False

    def conversation(self, system_prompt: str) -> Conversation:
        """See `RequestBody.conversation`."""
        return rebuild([], self.prompt, system_prompt)

    @property
    def repeated(self) -> str:
        """See `RequestBody.repeated`."""
        return self.prompt if self.echo else ""


def conversation_in(messages: list[ChatMessage], system_prompt: str) -> Conversation:
    """Return the conversation in messages; `system_prompt` is for who brings none.

    Raises:
        BadRequest: nobody but the assistant says anything.
    """
    called = {call.id: call.function.name for one in messages for call in one.tool_calls}
    return conversation([one.said(called) for one in messages], system_prompt)
