"""The shapes of requests for a reply, and what is to be answered in each.

Source: OpenAI's API reference, as the package `openai` types it. What else a shape may
hold is in `chat.web.api.fields`.
"""

import json
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from chat.core.conversation import Conversation, clean, rebuild
from chat.core.sampling import whole
from chat.errors import BadRequest
from chat.web.api import fields
from chat.web.api.messages import Messages, conversation_in, have_calls
from chat.web.api.shape import ListOf, Shape, unfit
from chat.web.api.thinking import Thinks
from chat.web.api.tools import AUTO, Choice, FunctionTool, Offer, offered
from prompts import Message

#: Most replies to one request.
MOST_REPLIES = 16
ANY_OBJECT = {"type": "object", "additionalProperties": True}

#: Ways of asking for log probabilities (see `RequestBody.logprobs_by`).
By = Literal["none", "themselves", "count"]


class Ask(NamedTuple):
    """What one reply answers."""

    conversation: Conversation
    #: The prompt, if it is token ids already.
    ids: tuple[int, ...] = ()
    #: Whether what is asked is to be at the beginning of the reply.
    echo: bool = False
    #: Whether nothing of the conversation may be left out.
    whole: bool = False


def _prompts(prompt: Any) -> Any:
    """Take one prompt for a list of one."""
    alone = isinstance(prompt, str) or _are_ids(prompt)
    found = [prompt] if alone else prompt
    if not isinstance(found, list) or not found:
        raise unfit("must be a text, token ids, or a list of those")
    if len(found) > MOST_REPLIES:
        raise unfit(f"must be {MOST_REPLIES} prompts at most")
    for one in found:
        if not (isinstance(one, str) or _are_ids(one)):
            raise unfit("must be a text, token ids, or a list of those")
    return [clean(one) if isinstance(one, str) else list(map(whole, one)) for one in found]


def _are_ids(prompt: Any) -> bool:
    return (
        isinstance(prompt, list)
        and bool(prompt)
        and all(type(whole(id)) is int and id >= 0 for id in prompt)
    )


def _with_schema(schema: dict[str, Any]) -> None:
    """Say that a format has a schema where that is its type, and else none."""
    none = {"type": "null"}
    schema["if"] = {"properties": {"type": {"const": "json_schema"}}}
    schema["then"] = {
        "oneOf": [
            {"required": [name], "properties": {name: {"type": "object"}, other: none}}
            for name, other in (("json_schema", "schema"), ("schema", "json_schema"))
        ]
    }
    schema["else"] = {
        "properties": {"json_schema": none},
        "if": {"properties": {"type": {"const": "text"}}},
        "then": {"properties": {"schema": none}},
    }


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
    #: As llama.cpp's server takes it, and Together.
    schema_: dict[str, Any] | None = Field(alias="schema", default=None)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = (self.json_schema is not None) + (self.schema_ is not None)
        if self.type == "json_schema" and given != 1:
            raise unfit("must have a json_schema if that is its type")
        if self.type != "json_schema" and self.json_schema is not None:
            raise unfit("must have a json_schema if that is its type")
        if self.type == "text" and given:
            raise unfit("must have a schema only if its type is json_schema or json_object")
        return self

    @property
    def written(self) -> str:
        """The schema as `Sampling` takes it, or nothing if any text will do."""
        if self.json_schema:
            return json.dumps(self.json_schema.schema_)
        return "" if self.type == "text" else json.dumps(self.schema_ or ANY_OBJECT)


class RequestBody(Thinks):
    """What can be in every request for a reply."""

    known = fields.REQUEST
    #: The field that holds what people wrote.
    written_in: ClassVar[str]
    #: How log probabilities are asked for, if they can be: by themselves, or by how many of
    #: the likeliest tokens come with each.
    logprobs_by: ClassVar[By] = "none"

    model: str = ""  # any: there is one, and the reply says which
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def replies(self) -> int:
        """How many replies are asked for."""
        return 1

    @property
    def schemas(self) -> dict[str, str]:
        """JSON schemas of the reply, or nothing for any text, by the fields that hold them."""
        return {}

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


#: A text with a letter in it, or ids.
Written = Annotated[str, Field(pattern=r"[^\s\x00-\x1f\x7f-\x9f]")]
TokenIds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Prompts = Annotated[list[Written | TokenIds], Field(min_length=1, max_length=MOST_REPLIES)]
OnePrompt = Written | TokenIds | Prompts


class Several(RequestBody):
    """A request that may ask for several replies, and for their log probabilities."""

    logprobs_by: ClassVar[By] = "themselves"

    n: Annotated[int, Field(ge=1, le=MOST_REPLIES), BeforeValidator(whole)] = 1
    response_format: ResponseFormat | None = None

    @property
    def replies(self) -> int:
        """See `RequestBody.replies`."""
        return self.n

    @property
    def schemas(self) -> dict[str, str]:
        """See `RequestBody.schemas`."""
        asked = self.response_format
        return {"response_format": asked.written} if asked else {}


class ChatBody(Several):
    """A request to go on with a conversation."""

    known = fields.CHAT
    written_in = "messages"

    messages: Messages
    continue_final_message: bool = True
    tools: ListOf[FunctionTool] = Field(default_factory=list)
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
        if found.begun.size and not self.continue_final_message:
            where = "continue_final_message"
            raise BadRequest(f"{where} must be true where the last message is a reply.", where)
        return [Ask(found)]


class CompletionBody(Several):
    """A request to continue a text."""

    known = fields.COMPLETION
    written_in = "prompt"
    logprobs_by = "count"

    prompt: Annotated[
        ListOf[str | list[int]], BeforeValidator(_prompts, json_schema_input_type=OnePrompt)
    ]
    echo: bool = False

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """See `RequestBody.asks`."""
        return [
            Ask(rebuild([], one, system_prompt), echo=self.echo)
            if isinstance(one, str)
            else Ask(Conversation([Message("user", "")]), tuple(one), echo=self.echo)
            for one in self.prompt
        ]
