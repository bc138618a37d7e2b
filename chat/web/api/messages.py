"""Messages as clients write them, or keep them from earlier replies, and the conversation in them.

Source: OpenAI's API reference, as the package `openai` types it.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from chat.core.conversation import Conversation, conversation
from chat.web.api import fields
from chat.web.api.shape import ListOf, Shape, given, unfit
from chat.web.api.thoughts import KINDS, Thought, text_of
from prompts import Call, Message, Role

#: The parts that are text: OpenAI's of two APIs, and what an assistant said instead of a reply.
TEXTS = ("text", "input_text", "output_text", "refusal")

#: What tools return besides.
UNSEEN = ("image", "image_url", "input_image", "document", "file", "input_file", "input_audio")


def _parts(content: Any) -> Any:
    """Take strings and parts in a list for parts of text, of which alone a content may consist."""
    if not isinstance(content, str | list):
        raise unfit("must be text")
    return content if isinstance(content, str) else list(map(_part, count(1), content))


def shown(content: Any) -> Any:
    """Put a word in place of what is no text in a tool's result, which nobody has chosen to send.

    Refused, it would end the conversation: clients send all of it with each request.
    """
    return list(map(_shown, content)) if isinstance(content, list) else content


def _shown(part: Any) -> Any:
    match part:
        case {"type": "document", "source": {"type": "text", "data": str(text)}}:
            return text
        case {"type": str(kind)} if kind in UNSEEN:
            return f"[{kind.removeprefix('input_')}: not shown, since the model reads text alone]"
        case _:
            return part


def _part(number: int, part: Any) -> dict[str, Any]:
    part = {"text": part} if isinstance(part, str) else part
    kind = None
    if isinstance(part, dict):
        part = {"type": "text"} | given(part)
        kind = part["type"]
        if kind in KINDS:
            return {"type": kind, "text": text_of(part)}
        if kind == "refusal":
            part = {"text" if name == kind else name: value for name, value in part.items()}
    if kind not in TEXTS or not isinstance(part.get("text"), str):
        named = f"is of the type {kind[:20]}" if isinstance(kind, str) else "is something else"
        raise unfit(f"must be text alone, and part {number} {named}")
    return dict(part)


def _written(arguments: Any) -> Any:
    """Take arguments that a client has read already for what they were read from."""
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments


def _silent(schema: dict[str, Any]) -> None:
    """Say that an assistant's message may be without a content."""
    schema["required"] = ["role"]
    schema["if"] = {"properties": {"role": {"const": "assistant"}}}
    schema["else"] = {"required": ["content"], "properties": {"content": {"not": {"type": "null"}}}}


class Part(Shape):
    """A part of a content."""

    known = fields.PART

    type: Literal["text", "input_text", "output_text", "refusal"] = "text"
    text: str


class ThoughtPart(Shape):
    """What the assistant thought, with its text under one of several names, or with none."""

    type: Literal["thinking", "reasoning", "redacted_thinking"]
    text: Thought = ""


def text_in(content: str | list[Part | ThoughtPart]) -> str:
    """Return the text in a content, without what was thought."""
    if isinstance(content, str):
        return content
    return "".join(part.text for part in content if isinstance(part, Part))


#: A text, or parts of one.
Content = Annotated[
    str | list[Part | ThoughtPart],
    BeforeValidator(_parts, json_schema_input_type=str | list[str | Part | ThoughtPart]),
]


class FunctionCall(Shape):
    """What an assistant called, with its arguments in JSON."""

    known = fields.CALLED

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
    content: Content
    name: str = ""
    refusal: str = ""
    tool_calls: ListOf[ToolCall] = Field(default_factory=list)
    function_call: FunctionCall | None = None
    tool_call_id: str = ""
    reasoning_content: Thought = ""
    reasoning: Thought = ""
    thinking: Thought = ""
    reasoning_details: Thought = ""
    thinking_blocks: Thought = ""

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, shape: Any) -> Any:
        shape = given(shape)
        if shape.get("role") == "tool" and "content" in shape:
            return {**shape, "content": shown(shape["content"])}
        return {"content": "", **shape} if shape.get("role") == "assistant" else shape

    @property
    def text(self) -> str:
        """The text in its content."""
        return text_in(self.content)

    @property
    def thought(self) -> str:
        """What the assistant thought, of which clients may keep several copies."""
        parts = [] if isinstance(self.content, str) else self.content
        copies = (
            self.reasoning_content,
            self.reasoning,
            self.thinking,
            self.reasoning_details,
            self.thinking_blocks,
            "\n\n".join(one.text for one in parts if isinstance(one, ThoughtPart) and one.text),
        )
        return next(filter(None, copies), "")

    @property
    def calls(self) -> tuple[Call, ...]:
        """What the assistant called."""
        called = [(one.function, one.id) for one in self.tool_calls]
        called += [(self.function_call, "")] if self.function_call else []
        return tuple(Call(one.name, one.arguments, id) for one, id in called)

    def said(self, called: Mapping[str, str]) -> Message:
        """Return it as a chat template that knows tools takes it.

        `called` are the names of what was called before, by the ids of the calls. A name
        stands before what its bearer says, but not before what the assistant does.
        """
        text, name = self.text, self.name
        match self.role:
            case "assistant":
                said = text or self.refusal
                return Message("assistant", said, self.calls, thought=self.thought)
            case "tool" | "function":
                name = name or called.get(self.tool_call_id) or self.role
                return Message("tool", text, name=name, call_id=self.tool_call_id)
            case "user":
                role: Role = "user"
            case _:
                role = "system"
        named = bool(name and text.strip() and name != self.role)
        return Message(role, f"{name}: {text}" if named else text)


Messages = Annotated[ListOf[ChatMessage], Field(json_schema_extra={"minItems": 1})]


def have_calls(messages: Sequence[ChatMessage | Message]) -> bool:
    """Whether something was called in them."""
    return any(one.calls or one.role in ("tool", "function") for one in messages)


def conversation_in(
    messages: Sequence[ChatMessage | Message], system_prompt: str, *, tooled: bool
) -> Conversation:
    """Return the conversation in messages, some of which may be read already.

    `system_prompt` is for who brings none.

    Unless the format that it is for is `tooled`, calls and their results are text in it.

    Raises:
        BadRequest: see `chat.core.conversation.conversation`.
    """
    called = {call.id: call.name for one in messages for call in one.calls if call.id}
    said = [one if isinstance(one, Message) else one.said(called) for one in messages]
    return conversation_of(said, system_prompt, tooled=tooled)


def conversation_of(said: list[Message], system_prompt: str, *, tooled: bool) -> Conversation:
    """Return the conversation in what was said; see `conversation_in`."""
    return conversation(said if tooled else map(_as_text, said), system_prompt)


def _as_text(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"{message.name}: {message.content}")
    calls = [f"{call.name}({call.arguments})" for call in message.calls]
    return message._replace(content="\n\n".join(filter(None, [message.content, *calls])), calls=())
