"""Tools that a request offers, and how it wants them called, as Anthropic's clients write it."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, ConfigDict, model_validator

from chat.web.api import fields
from chat.web.api.shape import Shape, unfit
from chat.web.api.tools import Name, Parameters
from prompts import Tool


def _own(type: Any) -> Any:
    """Refuse what runs on Anthropic's servers, or what only its models know."""
    if isinstance(type, str) and type != "custom":
        raise unfit(f"must be custom, and {type[:40]} is not offered here")
    return type


def _named(schema: dict[str, Any]) -> None:
    """Say that a tool is named where that is the type, and else not."""
    schema["if"] = {"properties": {"type": {"const": "tool"}}}
    schema["then"] = {"required": ["name"], "properties": {"name": {"type": "string"}}}
    schema["else"] = {"properties": {"name": {"type": "null"}}}


class CustomTool(Shape):
    """A tool, with a JSON schema of what it takes."""

    known = fields.CUSTOM_TOOL
    schema_in: ClassVar[str] = "input_schema"

    type: Annotated[Literal["custom"], BeforeValidator(_own)] = "custom"
    name: Name
    description: str = ""
    input_schema: Parameters
    #: Whether its input is sure to be of the schema; a call that has to be made always is.
    strict: bool = False

    @property
    def tool(self) -> Tool:
        """See `Offered.tool`."""
        return Tool(self.name, self.description, self.input_schema)


class ToolUseChoice(Shape):
    """Whether something is to be called, and what."""

    model_config = ConfigDict(json_schema_extra=_named)

    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool = False

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.type == "tool") != (self.name is not None):
            raise unfit("must have a name where its type is tool, and else not")
        return self

    def names(self, there: list[str]) -> list[str]:
        """See `Chosen.names`."""
        if self.name is not None:
            return [self.name]
        return [] if self.type == "none" else there

    @property
    def required(self) -> bool:
        """See `Chosen.required`."""
        return self.type in ("any", "tool")


AUTO = ToolUseChoice(type="auto")
