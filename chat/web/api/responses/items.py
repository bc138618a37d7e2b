"""Items, of which a conversation consists here: messages, calls of tools, and their results.

Source: OpenAI's API reference, "Responses", as the package `openai` types it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from chat.web.api import fields
from chat.web.api.messages import ChatMessage, Content, FunctionCall, ToolCall, shown, text_in
from chat.web.api.shape import Shape, by_type
from chat.web.api.thoughts import Thought
from prompts import Message


class CallItem(FunctionCall):
    """A call of a tool, that the assistant made."""

    known = fields.CALL_ITEM

    type: Literal["function_call"]
    call_id: str


class ResultItem(Shape):
    """What a call returned."""

    known = fields.CALL_ITEM

    type: Literal["function_call_output"]
    call_id: str
    output: Annotated[Content, BeforeValidator(shown)]
    name: str = ""


class ReasoningItem(Shape):
    """What was thought before what the assistant said or called next."""

    known = fields.REASONING_ITEM

    type: Literal["reasoning"]
    content: Thought = ""


class Reference(Shape):
    """An item that was in an earlier response, by its id."""

    type: Literal["item_reference"]
    id: str


Item = ChatMessage | CallItem | ResultItem | ReasoningItem | Reference
KINDS: dict[str, type[Shape]] = {
    "message": ChatMessage,
    "function_call": CallItem,
    "function_call_output": ResultItem,
    "reasoning": ReasoningItem,
    "item_reference": Reference,
}
read_item = by_type(KINDS, "message")
OneItem = Annotated[Item, BeforeValidator(read_item, json_schema_input_type=Item)]


def messages_in(items: Iterable[Item]) -> Iterator[ChatMessage]:
    """Yield the messages that items are; a `Reference` has to be replaced before."""
    for item in items:
        match item:
            case ChatMessage():
                yield item
            case CallItem(name=name, arguments=arguments, call_id=id):
                call = ToolCall(id=id, function=FunctionCall(name=name, arguments=arguments))
                yield ChatMessage(role="assistant", content="", tool_calls=[call])
            case ReasoningItem(content=str(thought)) if thought:
                yield ChatMessage(role="assistant", content="", reasoning_content=thought)
            case ResultItem(call_id=id, output=output, name=name):
                text = text_in(output)
                yield ChatMessage(role="tool", content=text, tool_call_id=id, name=name)


def thought_item(id: str, text: str = "") -> dict[str, Any]:
    """Return the item of what the assistant thinks."""
    part = {"type": "reasoning_text", "text": text}
    return {"id": id, "type": "reasoning", "status": "completed", "summary": [], "content": [part]}


def text_item(id: str, text: str = "") -> dict[str, Any]:
    """Return the item of what the assistant says."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": id,
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [part],
    }


def call_item(id: str, name: str, call_id: str, arguments: str = "") -> dict[str, Any]:
    """Return the item of what the assistant calls."""
    return {
        "id": id,
        "type": "function_call",
        "status": "completed",
        "name": name,
        "call_id": call_id,
        "arguments": arguments,
    }


def items_of(messages: Sequence[Message], key: str) -> Iterator[dict[str, Any]]:
    """Yield the items that messages are, whose ids are made from `key`."""
    for place, message in enumerate(messages):
        text, end = message.content, f"{key}_{place}"
        done = {"status": "completed"}
        match message.role:
            case "assistant":
                if message.thought:
                    yield thought_item(f"rs_{end}", message.thought)
                if text:
                    yield text_item(f"msg_{end}", text)
                for number, call in enumerate(message.calls):
                    yield call_item(f"fc_{end}_{number}", call.name, call.id, call.arguments)
            case "tool":
                result = {"type": "function_call_output", "call_id": message.call_id}
                yield {"id": f"fco_{end}", **result, "output": text, **done}
            case role:
                content = [{"type": "input_text", "text": text}]
                said = {"type": "message", "role": role, "content": content}
                yield {"id": f"msg_{end}", **said, **done}
