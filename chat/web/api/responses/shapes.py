"""The shape of a request for a response, and what is to be answered in it.

Source: OpenAI's API reference, "Responses", as the package `openai` types it. Unlike there,
a conversation that does not fit is answered without its oldest turns unless `truncation` is
disabled, and an assistant's message at the end is continued.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from chat.core.conversation import Conversation
from chat.errors import BadRequest
from chat.web.api import fields
from chat.web.api.messages import ChatMessage, conversation_in, have_calls
from chat.web.api.responses.items import OneItem, Reference, messages_in, read_item
from chat.web.api.responses.tools import AUTO, Choice, FlatTool, Tool
from chat.web.api.shape import ListOf, Shape, unfit
from chat.web.api.shapes import Ask, NamedSchema, RequestBody, ResponseFormat, Written
from chat.web.api.tools import Offer, offered
from prompts import Message
from prompts.order import joined

LOGPROBS = "message.output_text.logprobs"


def _items(given: Any) -> Any:
    """Take a text for a message of the user's."""
    if not isinstance(given, str | list):
        raise unfit("must be text or a list of items")
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _included(name: Any) -> Any:
    if name == LOGPROBS:
        raise unfit("asks for logprobs, which are not offered here")
    return name


def _with_schema(schema: dict[str, Any]) -> None:
    """Say that a format has a schema where that is its type, and else none."""
    schema["if"] = {"properties": {"type": {"const": "json_schema"}}, "required": ["type"]}
    schema["then"] = {"required": ["schema"], "properties": {"schema": {"type": "object"}}}
    schema["else"] = {"properties": {"schema": {"type": "null"}}}


class TextFormat(Shape):
    """What the reply has to be; a JSON schema is kept to, whatever `strict` says."""

    model_config = ConfigDict(json_schema_extra=_with_schema)

    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    schema_: dict[str, Any] | None = Field(alias="schema", default=None)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type == "json_schema") != (self.schema_ is not None):
            raise unfit("must have a schema if its type is json_schema")
        return self

    @property
    def nested(self) -> ResponseFormat:
        """The same as the chat has it."""
        named = None if self.schema_ is None else NamedSchema(schema=self.schema_)
        return ResponseFormat(type=self.type, json_schema=named)


class TextOptions(Shape):
    """How the reply has to be written."""

    known = fields.TEXT

    format: TextFormat = TextFormat()


class Around(NamedTuple):
    """What a request says nothing of itself."""

    #: The conversation that it goes on with.
    before: Sequence[Message] = ()
    #: The controls as they are.
    controls: Mapping[str, Any] = {}


class ResponseBody(RequestBody):
    """A request to go on with a conversation."""

    known = fields.RESPONSE
    written_in = "input"

    input: Annotated[
        ListOf[OneItem],
        BeforeValidator(
            _items,
            json_schema_input_type=Written | Annotated[list[OneItem], Field(min_length=1)],
        ),
    ]
    instructions: str | None = None
    previous_response_id: str = ""
    store: bool = True
    metadata: dict[str, Any] = Field(default_factory=dict)
    text: TextOptions = TextOptions()
    tools: ListOf[Tool] = Field(default_factory=list)
    tool_choice: Choice = AUTO
    parallel_tool_calls: bool = True
    truncation: Literal["auto", "disabled"] = "auto"
    include: ListOf[
        Annotated[
            str,
            BeforeValidator(_included),
            Field(json_schema_extra={"not": {"const": LOGPROBS}}),
        ]
    ] = Field(default_factory=list)

    _around: Around = PrivateAttr(default=Around())

    @property
    def around(self) -> Around:
        """What the request says nothing of itself."""
        return self._around

    def put(self, around: Around) -> None:
        """Say what is around it, once, before it is answered."""
        self._around = around

    def refer(self, find: Callable[[str, str], Mapping[str, Any]]) -> None:
        """Put items in place of references to them; `find` is given an id and its field.

        Raises:
            BadRequest: an item is referred to twice, and so could be any number of times.
        """
        places: dict[str, int] = {}
        for place, item in enumerate(self.input):
            if isinstance(item, Reference):
                where = f"input[{place}].id"
                if (first := places.setdefault(item.id, place)) != place:
                    raise BadRequest(f"{where} is that of input[{first}] too; send one.", where)
                found: Any = read_item(find(item.id, where))
                self.input[place] = found

    @property
    def schemas(self) -> dict[str, str]:
        """See `RequestBody.schemas`."""
        return {"text.format": self.text.format.nested.written}

    @property
    def offer(self) -> Offer | None:
        """See `RequestBody.offer`."""
        return offered(self.functions, self.tool_choice, parallel=self.parallel_tool_calls)

    @property
    def functions(self) -> list[FlatTool]:
        """The tools that the model is told of."""
        return [tool for tool in self.tools if isinstance(tool, FlatTool)]

    @property
    def has_calls(self) -> bool:
        """See `RequestBody.has_calls`."""
        return have_calls(self._messages)

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """See `RequestBody.asks`; instructions come before all that was said."""
        told = self.instructions
        messages = [] if told is None else [ChatMessage(role="system", content=told)]
        found = conversation_in([*messages, *self._messages], system_prompt, tooled=tooled)
        return [Ask(found, whole=self.truncation == "disabled")]

    @property
    def conversation(self) -> Conversation:
        """The conversation without the instructions, which are not for what follows."""
        try:
            return conversation_in(self._messages, "", tooled=True)
        except BadRequest:  # they were all that anybody asked, or calls were told of as text
            said = [one if isinstance(one, Message) else one.said({}) for one in self._messages]
            if any(one.role == "user" and one.content.strip() for one in said):
                return conversation_in(self._messages, "", tooled=False)
            begun = joined(one for one in said if one.role == "assistant")
            return Conversation([Message("user", ""), *begun])

    @property
    def _messages(self) -> list[ChatMessage | Message]:
        return [*self._around.before, *messages_in(self.input)]
