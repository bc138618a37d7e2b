"""The blocks that a message consists of, and the message of a conversation that they are.

Images, documents and what is used on Anthropic's own servers are refused by their type, but in
what a tool returns.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from chat.web.api import fields
from chat.web.api.messages import shown
from chat.web.api.shape import ListOf, Shape, given, unfit
from chat.web.api.thoughts import Thought
from prompts import Call, Message


def _kind(block: Any) -> str:
    """Return what a type is tagged with, which is left out of the path to a fault."""
    kind: str = block["type"] if isinstance(block, dict) else block.type
    return f"<{kind.removeprefix('redacted_')}>"


def _only(what: str, *kinds: str) -> Callable[[Any], list[dict[str, Any]]]:
    """Take a text for a block of it, and let nothing pass but blocks of these kinds."""

    def block(number: int, block: Any) -> dict[str, Any]:
        block = {"text": block} if isinstance(block, str) else block
        block = {"type": "text", **given(block)} if isinstance(block, dict) else {"type": None}
        kind = block["type"]
        if kind not in kinds:
            named = f"is of the type {kind[:40]}" if isinstance(kind, str) else "is something else"
            raise unfit(f"must be {what}, and block {number} {named}")
        return dict(block)

    def blocks(content: Any) -> list[dict[str, Any]]:
        content = [content] if isinstance(content, str) else content
        if not isinstance(content, list):
            raise unfit(f"must be {what}")
        return [block(number, one) for number, one in enumerate(content, 1)]

    return blocks


class TextBlock(Shape):
    """A text."""

    known = fields.BLOCK

    type: Literal["text"] = "text"
    text: str


Texts = Annotated[
    ListOf[TextBlock],
    BeforeValidator(
        _only("text alone", "text"), json_schema_input_type=str | list[str | TextBlock]
    ),
]


def text_in(blocks: list[Any]) -> str:
    """Return the text in blocks."""
    return "".join(one.text for one in blocks if isinstance(one, TextBlock))


class ToolUse(Shape):
    """A call of a tool."""

    known = fields.BLOCK

    type: Literal["tool_use"]
    id: str = ""
    name: str
    input: dict[str, Any] = Field(default_factory=dict)

    @property
    def call(self) -> Call:
        """The same as models write it."""
        return Call(self.name, json.dumps(self.input, ensure_ascii=False), self.id)


class ToolResult(Shape):
    """What a call returned, or why it failed."""

    known = fields.BLOCK

    type: Literal["tool_result"]
    tool_use_id: str = ""
    content: Annotated[Texts, BeforeValidator(shown)] = Field(default_factory=list)
    is_error: bool = False

    def said(self, called: Mapping[str, str]) -> Message:
        """Return it as a message; `called` are the names of tools by the ids of their calls."""
        # Templates have no place for a failure, of which the text is to tell.
        text = text_in(self.content) or "Error" * self.is_error
        return Message(
            "tool", text, name=called.get(self.tool_use_id, "tool"), call_id=self.tool_use_id
        )


class ThoughtBlock(Shape):
    """What was thought before an earlier reply; what was redacted is left out."""

    known = fields.THOUGHT

    type: Literal["thinking", "redacted_thinking"]
    thinking: Thought = ""


Block = Annotated[
    Annotated[TextBlock, Tag("<text>")]
    | Annotated[ToolUse, Tag("<tool_use>")]
    | Annotated[ToolResult, Tag("<tool_result>")]
    | Annotated[ThoughtBlock, Tag("<thinking>")],
    Discriminator(_kind),
]
ANY = ("text", "tool_use", "tool_result", "thinking", "redacted_thinking")


class InputMessage(Shape):
    """One message, as clients write it, or keep it from an earlier reply."""

    known = fields.INPUT_MESSAGE

    role: Literal["user", "assistant", "system"]
    content: Annotated[
        ListOf[Block],
        BeforeValidator(
            _only("text, calls of tools or their results", *ANY),
            json_schema_input_type=str | list[str | Block],
        ),
    ]

    @model_validator(mode="after")
    def _placed(self) -> Self:
        for kind, role in (("tool_use", "assistant"), ("tool_result", "user")):
            if self.role != role and any(one.type == kind for one in self.content):
                raise unfit(f"must be the {role}'s if it has a {kind}")
        return self

    @property
    def uses(self) -> list[ToolUse]:
        """What the assistant called."""
        return [one for one in self.content if isinstance(one, ToolUse)]

    @property
    def has_calls(self) -> bool:
        """Whether something was called, here or before."""
        return any(isinstance(one, ToolUse | ToolResult) for one in self.content)

    def said(self, called: Mapping[str, str]) -> Iterator[Message]:
        """Yield it as messages, of which results are each one; `called` as in `ToolResult`."""
        if self.role != "user":
            calls = tuple(use.call for use in self.uses)
            thoughts = (one.thinking for one in self.content if isinstance(one, ThoughtBlock))
            thought = "\n\n".join(filter(None, thoughts)) if self.role == "assistant" else ""
            yield Message(self.role, text_in(self.content), calls, thought=thought)
            return
        for kind, group in groupby(self.content, type):
            blocks = list(group)
            if kind is TextBlock:
                yield Message("user", text_in(blocks))
            yield from (one.said(called) for one in blocks if isinstance(one, ToolResult))
