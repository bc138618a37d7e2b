"""Tools that a request offers, and how it wants them called.

Source: OpenAI's API reference, "Function calling". A call that has to be made is held to
the schema of its tool, and is one alone; what else is called, and how, is up to the model.
"""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol, Self

from pydantic import BeforeValidator, Field, model_validator

from chat.core.fitting import CHARACTERS_PER_TOKEN
from chat.core.schema.fitting import LONGEST_SCHEMA, fitting
from chat.errors import BadRequest, TooLong
from chat.web.api import fields
from chat.web.api.shape import ListOf, Shape, unfit
from prompts import Tool
from prompts.formats.tooled import arguments_of

#: Twice as many as OpenAI takes.
MOST_TOOLS = 256
#: As long as Anthropic takes them; OpenAI takes 64 letters.
NAME = r"^[a-zA-Z0-9_.-]{1,128}$"


def _name(name: Any) -> Any:
    if isinstance(name, str) and not re.fullmatch(NAME, name):
        raise unfit("must be 1 to 128 letters, digits and _ . -")
    return name


def _schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        raise unfit("must be a JSON schema")
    return schema


def _chosen(choice: Any) -> Any:
    """Take a way of choosing for an object of that type."""
    return {"type": choice} if isinstance(choice, str) else choice


Name = Annotated[str, BeforeValidator(_name), Field(json_schema_extra={"pattern": NAME})]
Parameters = Annotated[dict[str, Any], BeforeValidator(_schema)]


class Function(Shape):
    """A function, with a JSON schema of its arguments."""

    name: Name
    description: str = ""
    parameters: Parameters = Field(default_factory=dict)
    #: Whether arguments are sure to be of the schema; a call that has to be made always is.
    strict: bool = False


class FunctionTool(Shape):
    """A tool."""

    known = fields.TOOL
    schema_in: ClassVar[str] = "function.parameters"

    type: Literal["function"]
    function: Function

    @property
    def tool(self) -> Tool:
        """What the prompt tells of it."""
        function = self.function
        return Tool(function.name, function.description, function.parameters)


class NamedFunction(Shape):
    """A function by its name."""

    name: Name


class NamedTool(Shape):
    """A tool by its name."""

    type: Literal["function"] = "function"
    function: NamedFunction


class AllowedTools(Shape):
    """Some of the tools, of which one may or has to be called."""

    mode: Literal["auto", "required"] = "auto"
    tools: ListOf[NamedTool]


class ToolChoice(Shape):
    """Whether something is to be called, and what."""

    type: Literal["none", "auto", "required", "any", "function", "allowed_tools"]
    function: NamedFunction | None = None
    allowed_tools: AllowedTools | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for type in ("function", "allowed_tools"):
            if (self.type == type) != (getattr(self, type) is not None):
                raise unfit(f"must have {type} where that is its type, and else not")
        return self

    def names(self, there: list[str]) -> list[str]:
        """Return the names of what may be called, of the functions that are `there`."""
        if self.function:
            return [self.function.name]
        if self.allowed_tools:
            return [one.function.name for one in self.allowed_tools.tools]
        return [] if self.type == "none" else there

    @property
    def required(self) -> bool:
        """Whether something has to be called."""
        if self.allowed_tools:
            return self.allowed_tools.mode == "required"
        return self.type in ("required", "any", "function")


Choice = Annotated[
    ToolChoice,
    BeforeValidator(
        _chosen, json_schema_input_type=Literal["none", "auto", "required", "any"] | ToolChoice
    ),
]
AUTO = ToolChoice(type="auto")


class Offered(Protocol):
    """A tool, as one of the APIs has it."""

    #: The field that holds the schema of its arguments.
    schema_in: ClassVar[str]

    @property
    def tool(self) -> Tool:
        """What the prompt tells of it."""
        ...


class Chosen(Protocol):
    """How they are to be called, as one of the APIs has it."""

    def names(self, there: list[str]) -> list[str]:
        """Return the names of what may be called, of the tools that are `there`."""
        ...

    @property
    def required(self) -> bool:
        """Whether something has to be called."""
        ...


class Offer(NamedTuple):
    """Tools that a model may call."""

    tools: tuple[Tool, ...]
    #: Whether it has to call one of them.
    required: bool = False
    #: Whether it may call several.
    parallel: bool = True


def offered(tools: Sequence[Offered], choice: Chosen, *, parallel: bool) -> Offer | None:
    """Return what a request offers, or None if nothing is to be called.

    Raises:
        BadRequest: what it says of them cannot be had; names the field.
    """
    if len(tools) > MOST_TOOLS:
        raise BadRequest(f"tools has {len(tools):,}; the limit is {MOST_TOOLS}.", "tools")
    names = [one.tool.name for one in tools]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadRequest(f"tools has two functions called {twice}.", "tools")
    wanted, required = set(choice.names(names)), choice.required
    if unknown := min(wanted.difference(names), default=None):
        raise BadRequest(f"tool_choice names {unknown}, which is not in tools.", "tool_choice")
    if required and not wanted:
        raise BadRequest("tool_choice asks for a call, and there are no tools.", "tool_choice")
    if required:
        size = 0
        for place, one in enumerate(tools):
            if one.tool.name in wanted:
                _check(one.tool, f"tools[{place}].{one.schema_in}")
                size += len(json.dumps(one.tool.parameters))
                if size > LONGEST_SCHEMA:
                    raise BadRequest(
                        f"tools have schemas of more than {LONGEST_SCHEMA:,} characters in all, to "
                        "be held to.",
                        "tools",
                    )
    kept = tuple(one.tool for one in tools if one.tool.name in wanted)
    return Offer(kept, required, parallel) if kept else None


def _check(tool: Tool, where: str) -> None:
    try:
        fitting(json.dumps(arguments_of(tool)))
    except ValueError as error:
        raise BadRequest(f"{where} {error}.", where) from None


def check_length(offer: Offer, window: int) -> None:
    """Raise TooLong for descriptions with more characters than are tokenized."""
    size = sum(len(json.dumps([*tool], ensure_ascii=False)) for tool in offer.tools)
    if size > (budget := window * CHARACTERS_PER_TOKEN):
        raise TooLong(f"Your tools have {size:,} characters; the limit is {budget:,}.", "tools")
