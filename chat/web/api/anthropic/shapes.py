"""The shape of a request for the next message, and of one that asks how long its prompt is."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from chat.errors import BadRequest
from chat.web.api import fields
from chat.web.api.anthropic.blocks import InputMessage, Texts, text_in
from chat.web.api.anthropic.tools import AUTO, CustomTool, ToolUseChoice
from chat.web.api.messages import conversation_of
from chat.web.api.shape import ListOf, Shape
from chat.web.api.shapes import Ask, RequestBody
from chat.web.api.thinking import CONTROLS, Effort
from chat.web.api.tools import Offer, offered
from prompts import Message


class OutputFormat(Shape):
    """A JSON schema of the reply."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Shape):
    """What the reply has to be."""

    format: OutputFormat | None = None
    effort: Effort = ""


class MessagesBody(RequestBody):
    """A request to go on with a conversation."""

    known = fields.MESSAGES
    written_in = "messages"

    messages: Annotated[ListOf[InputMessage], Field(json_schema_extra={"minItems": 1})]
    system: Texts = Field(default_factory=list)
    tools: ListOf[CustomTool] = Field(default_factory=list)
    tool_choice: ToolUseChoice = AUTO
    output_config: OutputConfig | None = None
    output_format: OutputFormat | None = None

    @property
    def schemas(self) -> dict[str, str]:
        """See `RequestBody.schemas`."""
        formats = {
            "output_config.format": self.output_config and self.output_config.format,
            "output_format": self.output_format,
        }
        written = {name: json.dumps(one.schema_) for name, one in formats.items() if one}
        return super().schemas | written

    @property
    def efforts(self) -> dict[str, Any]:
        """See `Thinks.efforts`."""
        asked = self.output_config
        return {**super().efforts, "output_config.effort": asked and asked.effort}

    def shows_thought(self, controls: Mapping[str, Any]) -> bool:
        """See `Thinks.shows_thought`; clients that do not ask for thoughts expect none."""
        asked = any(controls.get(name, "off") not in ("off", 0) for name in CONTROLS)
        return asked and super().shows_thought(controls)

    @property
    def offer(self) -> Offer | None:
        """See `RequestBody.offer`."""
        parallel = not self.tool_choice.disable_parallel_tool_use
        return offered(self.tools, self.tool_choice, parallel=parallel)

    @property
    def has_calls(self) -> bool:
        """See `RequestBody.has_calls`."""
        return any(one.has_calls for one in self.messages)

    def asks(self, system_prompt: str, *, tooled: bool) -> list[Ask]:
        """See `RequestBody.asks`."""
        if not self.messages:  # instructions alone are no message here
            raise BadRequest("Please write a message first.", "message")
        called = {use.id: use.name for one in self.messages for use in one.uses}
        said = [message for one in self.messages for message in one.said(called)]
        if "system" in self.model_fields_set:
            said.insert(0, Message("system", text_in(self.system)))
        return [Ask(conversation_of(said, system_prompt, tooled=tooled))]


class CountBody(MessagesBody):
    """The same, to ask how long its prompt is, for which it does not matter how it is sampled."""
