"""What a program asks of /v1/responses, and what comes, as OpenAI's package types it."""

import json
from typing import Any

import httpx
from openai.types import responses
from pydantic import TypeAdapter

from tests.support.programs import Programs

EVENT: TypeAdapter[Any] = TypeAdapter(responses.ResponseStreamEvent)


async def responds(programs: Programs, **fields: Any) -> dict[str, Any]:
    """Return the response to a request, which is what OpenAI's package says it is."""
    answer = await asks(programs, **fields)
    assert answer.status_code == 200, answer.text
    responses.Response.model_validate(answer.json())
    return dict(answer.json())


async def streams(programs: Programs, **fields: Any) -> list[dict[str, Any]]:
    """Return the data of the events of a stream, in their order."""
    return steps(await asks(programs, stream=True, **fields))


async def asks(programs: Programs, **fields: Any) -> httpx.Response:
    return await programs.post("/responses", {"input": "hi", **fields})


def steps(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        if block.startswith(":"):
            continue
        name, data = block.split("\n")
        one = json.loads(data.removeprefix("data: "))
        assert name == f"event: {one['type']}"
        EVENT.validate_python(one)
        found.append(one)
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    return found
