"""Tools as they are offered here: flat, where the chat's have the function inside.

Source: OpenAI's API reference, "Responses", as the package `openai` types it.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

import prompts
from chat.web.api import fields
from chat.web.api.shape import ListOf, Shape, by_type, given
from chat.web.api.tools import Function, NamedFunction

#: Ways of choosing that name no tool.
Plain = Literal["none", "auto", "required"]


class FlatTool(Function):
    """A function that may be called."""

    known = fields.FLAT_TOOL
    schema_in: ClassVar[str] = "parameters"

    type: Literal["function"] = "function"

    @property
    def tool(self) -> prompts.Tool:
        """See `Offered.tool`."""
        return prompts.Tool(self.name, self.description, self.parameters)


class OtherTool(Shape):
    """One that OpenAI's own servers or clients have, which the model is not told of.

    Codex offers several with each request, whatever its person has asked for.
    """

    ignored: ClassVar[bool] = True

    type: str = Field(json_schema_extra={"not": {"const": "function"}})


class NamedChoice(NamedFunction):
    """The function that has to be called."""

    required: ClassVar[bool] = True

    type: Literal["function"] = "function"

    def names(self, there: list[str]) -> list[str]:
        """See `Chosen.names`."""
        return [self.name]


Named = Annotated[NamedChoice, BeforeValidator(by_type({"function": NamedChoice}, "function"))]


class AllowedChoice(Shape):
    """Functions of which one may or has to be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: ListOf[Named]

    def names(self, there: list[str]) -> list[str]:
        """See `Chosen.names`."""
        return [one.name for one in self.tools]

    @property
    def required(self) -> bool:
        """See `Chosen.required`."""
        return self.mode == "required"


class PlainChoice(Shape):
    """Whether something is to be called."""

    type: Plain

    def names(self, there: list[str]) -> list[str]:
        """See `Chosen.names`."""
        return [] if self.type == "none" else there

    @property
    def required(self) -> bool:
        """See `Chosen.required`."""
        return self.type == "required"


WAYS: dict[str, type[Shape]] = {
    **dict.fromkeys(("none", "auto", "required"), PlainChoice),
    "function": NamedChoice,
    "allowed_tools": AllowedChoice,
}


def _chosen(choice: Any) -> Shape:
    """Take a way of choosing for an object of that type."""
    return by_type(WAYS, "function")({"type": choice} if isinstance(choice, str) else choice)


def _tool(tool: Any) -> Shape:
    kind = given(tool).get("type", "function")
    return (FlatTool if kind == "function" else OtherTool).model_validate(tool)


Tool = Annotated[FlatTool | OtherTool, BeforeValidator(_tool)]
Way = PlainChoice | NamedChoice | AllowedChoice
Choice = Annotated[Way, BeforeValidator(_chosen, json_schema_input_type=Plain | Way)]
AUTO = PlainChoice(type="auto")
