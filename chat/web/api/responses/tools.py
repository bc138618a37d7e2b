"""Tools as they are offered here: flat, where the chat's have the function inside.

Source: OpenAI's API reference, "Responses", as the package `openai` types it.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from chat.web.api import fields
from chat.web.api.shape import Shape, by_type
from chat.web.api.tools import (
    AllowedTools,
    Function,
    FunctionTool,
    NamedFunction,
    NamedTool,
    ToolChoice,
)

#: Ways of choosing that name no tool.
Plain = Literal["none", "auto", "required"]


class FlatTool(Function):
    """A function that may be called."""

    known = fields.FLAT_TOOL

    type: Literal["function"] = "function"

    @property
    def nested(self) -> FunctionTool:
        """The same as the chat has it."""
        function = Function(
            name=self.name, description=self.description, parameters=self.parameters
        )
        return FunctionTool(type="function", function=function)


class NamedChoice(NamedFunction):
    """The function that has to be called."""

    type: Literal["function"] = "function"

    @property
    def nested(self) -> ToolChoice:
        """The same as the chat has it."""
        return ToolChoice(type="function", function=NamedFunction(name=self.name))


Named = Annotated[NamedChoice, BeforeValidator(by_type({"function": NamedChoice}, "function"))]


class AllowedChoice(Shape):
    """Functions of which one may or has to be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: list[Named]

    @property
    def nested(self) -> ToolChoice:
        """The same as the chat has it."""
        tools = [NamedTool(function=NamedFunction(name=one.name)) for one in self.tools]
        allowed = AllowedTools(mode=self.mode, tools=tools)
        return ToolChoice(type="allowed_tools", allowed_tools=allowed)


class PlainChoice(Shape):
    """Whether something is to be called."""

    type: Plain

    @property
    def nested(self) -> ToolChoice:
        """The same as the chat has it."""
        return ToolChoice(type=self.type)


WAYS: dict[str, type[Shape]] = {
    **dict.fromkeys(("none", "auto", "required"), PlainChoice),
    "function": NamedChoice,
    "allowed_tools": AllowedChoice,
}


def _chosen(choice: Any) -> Shape:
    """Take a way of choosing for an object of that type."""
    return by_type(WAYS, "function")({"type": choice} if isinstance(choice, str) else choice)


Tool = Annotated[FlatTool, BeforeValidator(by_type({"function": FlatTool}, "function"))]
Way = PlainChoice | NamedChoice | AllowedChoice
Choice = Annotated[Way, BeforeValidator(_chosen, json_schema_input_type=Plain | Way)]
AUTO = PlainChoice(type="auto")
