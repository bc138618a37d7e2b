"""Asking for messages, and reading the events that a streamed one comes in."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from tests.support import tools
from tests.support.programs import HI, Programs
from tests.support.tools import speaking

WEATHER = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": tools.PLACE,
}
TIME = {"name": "get_time", "input_schema": {"type": "object"}}
ROME = {"city": "Rome"}


def call(name: str, arguments: Any) -> str:
    """Return what a model writes to call a tool."""
    written = json.dumps(arguments)
    return f'<tool_call>\n{{"name": "{name}", "arguments": {written}}}\n</tool_call>'


def knowing_tools(script: Callable[[str], str], **settings: Any) -> Programs:
    """Return programs that ask a model whose template knows tools."""
    chat = speaking(tools.hermes(), script)
    engine: Any = chat.engine
    return Programs(engine, chat=chat, **settings)


async def ask(programs: Programs, **fields: Any) -> httpx.Response:
    return await programs.post("/messages", {"messages": HI, "max_tokens": 200, **fields})


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the data of the events of a stream, of which each is named by its type."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = []
    for one in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = one.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def put_together(events: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the message that events make up, as Anthropic's clients put it together."""
    message: dict[str, Any] = {}
    written = ""
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
                assert message["content"] == []
                assert message["stop_reason"] is None
            case "content_block_start":
                assert event["index"] == len(message["content"])
                message["content"].append(event["content_block"])
                written = ""
            case "content_block_delta":
                assert event["index"] == len(message["content"]) - 1
                match event["delta"]:
                    case {"type": "text_delta", "text": text}:
                        message["content"][-1]["text"] += text
                    case {"type": "thinking_delta", "thinking": thought}:
                        message["content"][-1]["thinking"] += thought
                    case {"type": "signature_delta", "signature": signature}:
                        assert message["content"][-1]["signature"] == ""
                        message["content"][-1]["signature"] = signature
                    case {"type": "input_json_delta", "partial_json": part}:
                        written += part
            case "content_block_stop":
                assert event["index"] == len(message["content"]) - 1
                if written:
                    message["content"][-1]["input"] = json.loads(written)
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    assert event["type"] == "message_stop"
    return message


def fault(answer: httpx.Response, status: int) -> dict[str, Any]:
    """Return what an error in Anthropic's shape says."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert list(body) == ["type", "error", "request_id"]
    assert body["type"] == "error"
    assert list(body["error"]) == ["type", "message"]
    assert body["error"]["message"].endswith(".")
    return dict(body["error"])
