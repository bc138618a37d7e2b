"""Responses as a whole, or as events for each step that they grow by.

Source: OpenAI's API reference, "Responses", as the package `openai` types it.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from chat.core.chat import Update
from chat.errors import BadRequest
from chat.web.api.errors import json_bytes, refusal
from chat.web.api.events import event
from chat.web.api.responses.items import call_item, text_item, thought_item
from chat.web.api.responses.shapes import ResponseBody
from chat.web.api.responses.stored import Keeper, Stored
from chat.web.api.responses.tools import PlainChoice
from chat.web.api.shape import Shape
from prompts import Call, Message

Event = dict[str, Any]

#: What the events of a text are called, by the type of its item.
TEXTS = {"message": "output_text", "reasoning": "reasoning_text"}


class ResponseReply:
    """A response (see `Writer`), of which there is one to each request; it is kept at its end."""

    def __init__(self, body: ResponseBody, model: str, keeper: Keeper) -> None:
        self._body = body
        self._keeper = keeper
        self._head = {
            "id": f"resp_{secrets.token_hex(24)}",
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            **_repeated(body),
        }
        self._sent = Update("waiting")
        #: The items as far as they are there; the last one may still grow.
        self._output: list[dict[str, Any]] = []
        self._events = 0

    def whole(self, updates: Sequence[Update]) -> dict[str, Any]:
        """See `Writer.whole`."""
        (update,) = updates
        list(self._steps(update))
        list(self._closing(_status(update)))
        return self._finished(update)

    def begin(self) -> Iterable[bytes]:
        """See `Writer.begin`."""
        for name in ("response.created", "response.in_progress"):
            yield self._event({"type": name, "response": self._response("in_progress")})

    def more(self, place: int, update: Update) -> Iterable[bytes]:
        """See `Writer.more`."""
        return map(self._event, self._steps(update))

    def end(self, updates: Sequence[Update]) -> Iterable[bytes]:
        """See `Writer.end`."""
        (update,) = updates
        status = _status(update)
        yield from map(self._event, self._closing(status))
        yield self._event({"type": f"response.{status}", "response": self._finished(update)})

    def failed(self, error: Exception) -> bytes:
        """See `Writer.failed`; the second of the two events is what clients raise."""
        fault = json.loads(bytes(refusal(error).body))["error"]
        code = "server_error" if fault["type"] == "server_error" else "invalid_prompt"
        told = {"code": code, "message": fault["message"]}
        response = self._response("failed") | {"error": told}
        failure = {"type": "response.failed", "response": response}
        raised = {"type": "error", **told, "param": fault["param"], "error": fault}
        return self._event(failure) + self._event(raised)

    def _event(self, step: Event) -> bytes:
        numbered = {**step, "sequence_number": self._events}
        self._events += 1
        return event(numbered, step["type"])

    def _steps(self, update: Update) -> Iterator[Event]:
        """Take what is new of the reply, and yield an event for each part of it."""
        sent, self._sent = self._sent, update
        known = len(sent.calls)
        # Only the last one can have grown, and only if nothing came after it.
        for before, call in zip(sent.calls[-1:], update.calls[known - 1 : known], strict=False):
            yield from self._argued(call.arguments[len(before.arguments) :])
        if new := update.thought[len(sent.thought) :]:
            yield from self._written(thought_item, "rs", new)
        if new := update.text[len(sent.text) :]:
            yield from self._written(text_item, "msg", new, logprobs=[])
        for call in update.calls[known:]:
            yield from self._called(call)

    def _written(
        self, item: Callable[[str], dict[str, Any]], kind: str, new: str, **more: Any
    ) -> Iterator[Event]:
        begun = item(_id(kind))
        if not (self._output and self._output[-1]["type"] == begun["type"]):
            yield from self._opened(begun)
            # What stands between two thoughts is in neither.
            new = new.lstrip("\n") if kind == "rs" else new
        self._output[-1]["content"][0]["text"] += new
        yield self._of_text(f"response.{TEXTS[begun['type']]}.delta", delta=new, **more)

    def _called(self, call: Call) -> Iterator[Event]:
        yield from self._opened(call_item(_id("fc"), call.name, _id("call")))
        yield from self._argued(call.arguments)

    def _argued(self, new: str) -> Iterator[Event]:
        if new:
            self._output[-1]["arguments"] += new
            yield self._of_item("response.function_call_arguments.delta", delta=new)

    def _opened(self, item: dict[str, Any]) -> Iterator[Event]:
        """Begin an item, which ends the one before it."""
        if self._output:
            yield from self._closed("completed")
        item["status"] = "in_progress"
        self._output.append(item)
        empty = {**item, "content": []} if item["type"] in TEXTS else dict(item)
        yield self._at("response.output_item.added", item=empty)
        if item["type"] in TEXTS:
            part = dict(item["content"][0])
            yield self._of_text("response.content_part.added", part=part)

    def _closing(self, status: str) -> Iterator[Event]:
        """End the last item; a reply that says nothing has one too."""
        if all(one["type"] == "reasoning" for one in self._output):
            yield from self._opened(text_item(_id("msg")))
        yield from self._closed(status)

    def _closed(self, status: str) -> Iterator[Event]:
        item = self._output[-1]
        item["status"] = status
        if text := TEXTS.get(item["type"]):
            (part,) = item["content"]
            more: dict[str, Any] = {"logprobs": []} if item["type"] == "message" else {}
            yield self._of_text(f"response.{text}.done", text=part["text"], **more)
            yield self._of_text("response.content_part.done", part=part)
        else:
            done = "response.function_call_arguments.done"
            yield self._of_item(done, name=item["name"], arguments=item["arguments"])
        yield self._at("response.output_item.done", item=item)

    def _at(self, name: str, /, **fields: Any) -> Event:
        return {"type": name, "output_index": len(self._output) - 1, **fields}

    def _of_item(self, name: str, /, **fields: Any) -> Event:
        return self._at(name, item_id=self._output[-1]["id"], **fields)

    def _of_text(self, name: str, /, **fields: Any) -> Event:
        return self._of_item(name, content_index=0, **fields)

    def _response(self, status: str) -> dict[str, Any]:
        """Return the response as far as it is there."""
        return {
            **self._head,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": self._output,
            "usage": None,
        }

    def _finished(self, update: Update) -> dict[str, Any]:
        """Return the whole response, having kept it unless the request says otherwise."""
        status = _status(update)
        response = self._response(status)
        response["usage"] = _usage(update)
        if status == "completed":
            response["completed_at"] = int(time.time())
        else:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        if self._body.store:
            self._keep(response)
        return response

    def _keep(self, response: dict[str, Any]) -> None:
        found = self._body.conversation
        texts = [one["content"][0]["text"] for one in self._output if one["type"] == "message"]
        calls = [
            Call(one["name"], one["arguments"], one["call_id"])
            for one in self._output
            if one["type"] == "function_call"
        ]
        # If part of the reply was there already, this is the rest of it.
        thought = found.begun.thought + self._sent.thought
        text = found.begun.content + "".join(texts)
        reply = Message("assistant", text, tuple(calls), thought=thought)
        asked, said = found.messages, [*found.asked, reply]
        kept = Stored(json_bytes(response), asked, said, tuple(self._output))
        self._keeper.keep(response["id"], kept)


def _id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"


def _status(update: Update) -> str:
    return "incomplete" if update.state == "length" else "completed"


def _usage(update: Update) -> dict[str, Any]:
    return {
        "input_tokens": update.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": update.cached_tokens or 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": update.tokens,
        "output_tokens_details": {"reasoning_tokens": update.thought_tokens},
        "total_tokens": update.prompt_tokens + update.tokens,
    }


def _repeated(body: ResponseBody) -> dict[str, Any]:
    """Return what of a request is repeated in its response."""
    controls, choice = body.around.controls, body.tool_choice
    effort = body.reasoning.effort if body.reasoning else ""
    return {
        "background": False,
        "instructions": body.instructions,
        "max_output_tokens": controls.get("max_new_tokens"),
        "metadata": {name: _noted(note) for name, note in body.metadata.items()},
        "parallel_tool_calls": body.parallel_tool_calls,
        "previous_response_id": body.previous_response_id or None,
        "reasoning": {"effort": effort or None, "summary": None},
        "service_tier": "default",
        "store": body.store,
        "temperature": controls.get("temperature"),
        "text": {"format": _fields(body.text.format)},
        "tool_choice": choice.type if isinstance(choice, PlainChoice) else _fields(choice),
        "tools": [_fields(tool) for tool in body.functions],
        "top_p": controls.get("top_p"),
        "truncation": body.truncation,
    }


def _fields(shape: Shape) -> dict[str, Any]:
    """Return what is offered of a shape, as it was sent."""
    known = set(type(shape).model_fields)
    return shape.model_dump(include=known, by_alias=True, exclude_none=True)


def _noted(note: Any) -> str:
    """Return a client's note as the text that it has to be."""
    try:
        return note if isinstance(note, str) else json.dumps(note, ensure_ascii=False)
    except RecursionError:
        raise BadRequest("metadata must not be nested so deeply.", "metadata") from None
