"""chat.web.api.shape: what is so of each part of a request."""

from collections.abc import Iterator
from typing import Any, get_origin

import pytest
from pydantic import FailFast, ValidationError

from chat.backend import body as backend
from chat.web.api import routes as api
from chat.web.api.anthropic.shapes import MessagesBody
from chat.web.api.responses.shapes import ResponseBody
from chat.web.api.shape import Shape
from chat.web.api.shapes import ChatBody
from chat.web.api.tokenize import DetokenizeBody
from tests.support.programs import HI

MANY: Any = [0] * 1_000


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        (ChatBody, {"messages": [{"role": "user"}] * 1_000}),
        (ChatBody, {"messages": HI, "tools": MANY}),
        (ChatBody, {"messages": [{"role": "assistant", "tool_calls": MANY}]}),
        (MessagesBody, {"messages": HI, "tools": MANY}),
        (ResponseBody, {"input": "hi", "tools": MANY}),
        (ResponseBody, {"input": "hi", "include": MANY}),
        (DetokenizeBody, {"tokens": ["a"] * 1_000}),
        (backend.CompletionBody, {"prompt": [1], "stop_token_ids": ["a"] * 1_000}),
    ],
)
def test_of_many_faults_in_a_list_one_is_described(
    shape: type[Shape], fields: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as refused:
        shape.model_validate(fields)
    assert refused.value.error_count() == 1


def test_that_is_so_of_every_list() -> None:
    """To describe the faults of a megabyte takes seconds, in which nobody else is answered."""
    assert api.routes
    lists = [
        (shape.__name__, name, field.metadata)
        for shape in shapes(Shape)
        for name, field in shape.model_fields.items()
        if get_origin(field.annotation) is list
    ]
    assert len(lists) > 10
    assert [one[:2] for one in lists if not any(isinstance(of, FailFast) for of in one[2])] == []


def shapes(of: type[Shape]) -> Iterator[type[Shape]]:
    for shape in of.__subclasses__():
        yield shape
        yield from shapes(shape)
