"""A part of a request: what all shapes share.

Null is as good as nothing, as it is to OpenAI.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from chat.web.api import fields

One = TypeVar("One")
#: A list of which only the first that is at fault is named: to describe thousands takes seconds.
ListOf = Annotated[list[One], FailFast()]


def unfit(problem: str) -> PydanticCustomError:
    """Return the error for a value of which `problem` says what it must be."""
    return PydanticCustomError("unfit", "{problem}", {"problem": problem})


def given(shape: Any) -> dict[str, Any]:
    """Return what of an object is not null."""
    if not isinstance(shape, dict):
        raise unfit("must be an object")
    return {name: value for name, value in shape.items() if value is not None}


class Shape(BaseModel):
    """A part of a request. What is not known here is kept beside the fields, to be named."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow")

    known: ClassVar[fields.Known] = fields.Known()
    #: Whether it is known and not offered, and does no harm: then it is named as a whole.
    ignored: ClassVar[bool] = False

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, shape: Any) -> Any:
        return given(shape)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Describe what is known beside the fields too, and what may be null."""
        schema = handler(core_schema)
        found = handler.resolve_ref_schema(schema)
        for name, own in found["properties"].items():
            if name not in found.get("required", ()):
                found["properties"][name] = {"anyOf": [own, {"type": "null"}]}
        found["properties"] |= fields.described(cls.known)
        return schema


def by_type(
    kinds: Mapping[str, type[Shape]], otherwise: str | None = None
) -> Callable[[Any], Shape]:
    """Return what takes an object for the kind that its type says, or `otherwise`.

    So that what is wrong with it is said of that kind alone, and another is refused by name.
    """

    def take(shape: Any) -> Shape:
        kind = given(shape).get("type", otherwise)
        if not isinstance(kind, str):
            raise unfit("must have a type")
        if kind not in kinds:
            raise unfit(f"is of the type {kind[:30]}, which is not offered")
        return kinds[kind].model_validate(shape)

    return take
