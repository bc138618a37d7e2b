"""Replies in Anthropic's shape: as a whole, or in the events of blocks that grow."""

import json
import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from chat.core.chat import Update
from chat.core.conversation import LONE_SURROGATES
from chat.web.api.anthropic.errors import refusal
from chat.web.api.events import event
from prompts import Call

TEXT = {"type": "text", "text": ""}
THOUGHT = {"type": "thinking", "thinking": "", "signature": ""}


class MessageReply:
    """The assistant's next message (see `Writer`), of which there is one to a request.

    Its first event has to say how long the prompt is, so it comes once that is known. A call
    ends the block of the text before it; what is said after calls comes after all of them.
    """

    def __init__(self, model: str, window: int) -> None:
        self._window = window
        self._message = {
            "id": f"msg_{secrets.token_hex(12)}",
            "type": "message",
            "role": "assistant",
            "model": model,
        }
        self._begun = False
        #: How many blocks were begun, the last of which is `_open`, if one is.
        self._blocks = 0
        self._open = ""
        #: How much was sent of the thought, of the text, and of the arguments of each call.
        self._thought = self._said = 0
        self._given: list[int] = []

    def whole(self, updates: Sequence[Update]) -> dict[str, Any]:
        """See `Writer.whole`."""
        (update,) = updates
        said = update.text or not update.calls
        content: list[dict[str, Any]] = []
        if update.thought:
            content.append({**THOUGHT, "thinking": update.thought, "signature": _signature()})
        if said:
            content.append({**TEXT, "text": update.text})
        content += [{**_use(call), "input": _input(call.arguments)} for call in update.calls]
        return {**self._message, "content": content, **self._end(update), "usage": _usage(update)}

    def begin(self) -> Iterable[bytes]:
        """See `Writer.begin`."""
        return ()

    def more(self, place: int, update: Update) -> Iterable[bytes]:
        """See `Writer.more`."""
        if update.state == "waiting":
            return
        if not self._begun:
            self._begun = True
            ending = {"stop_reason": None, "stop_sequence": None, "usage": _usage(update)}
            yield _event("message_start", message={**self._message, "content": [], **ending})
        if not self._given:
            yield from self._more_said(update)
        for index, call in enumerate(update.calls):
            yield from self._more_of(index, call)

    def end(self, updates: Sequence[Update]) -> Iterable[bytes]:
        """See `Writer.end`."""
        (update,) = updates
        yield from self._more_said(update)
        if not (self._said or self._given):  # whoever looks for a text finds one
            yield from self._block(TEXT)
        yield from self._close()
        yield _event("message_delta", delta=self._end(update), usage=_usage(update))
        yield _event("message_stop")

    def failed(self, error: Exception) -> bytes:
        """See `Writer.failed`."""
        return event(bytes(refusal(error).body), "error")

    def _end(self, update: Update) -> dict[str, Any]:
        if update.stopped_by:
            reason = "stop_sequence"
        elif update.state == "length":
            full = update.prompt_tokens + update.tokens >= self._window
            reason = "model_context_window_exceeded" if full else "max_tokens"
        else:
            reason = "tool_use" if update.calls else "end_turn"
        return {"stop_reason": reason, "stop_sequence": update.stopped_by or None}

    def _more_said(self, update: Update) -> Iterable[bytes]:
        if new := update.thought[self._thought :]:
            if self._open != "thinking":
                yield from self._block(THOUGHT)
                new = new.lstrip("\n")  # what stands between two thoughts is in neither
            yield self._delta("thinking_delta", thinking=new)
            self._thought = len(update.thought)
        if new := update.text[self._said :]:
            if self._open != "text":
                yield from self._block(TEXT)
            yield self._delta("text_delta", text=new)
            self._said = len(update.text)

    def _more_of(self, index: int, call: Call) -> Iterable[bytes]:
        if index == len(self._given):
            yield from self._block({**_use(call), "input": {}})
            self._given.append(0)
        if new := call.arguments[self._given[index] :]:
            yield self._delta("input_json_delta", partial_json=new)
            self._given[index] += len(new)

    def _block(self, block: dict[str, Any]) -> Iterable[bytes]:
        yield from self._close()
        yield _event("content_block_start", index=self._blocks, content_block=block)
        self._blocks += 1
        self._open = block["type"]

    def _delta(self, type: str, **new: str) -> bytes:
        delta = {"type": type, **new}
        return _event("content_block_delta", index=self._blocks - 1, delta=delta)

    def _close(self) -> Iterable[bytes]:
        if self._open == "thinking":
            yield self._delta("signature_delta", signature=_signature())
        if self._open:
            yield _event("content_block_stop", index=self._blocks - 1)
            self._open = ""


def _event(type: str, **data: Any) -> bytes:
    return event({"type": type, **data}, type)


def _signature() -> str:
    """Return a signature, which only has to be there: clients send it back as it is."""
    return secrets.token_urlsafe(24)


def _use(call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": f"toolu_{secrets.token_hex(12)}", "name": call.name}


def _input(arguments: str) -> dict[str, Any]:
    """Return the object that is written in JSON, or an empty one if none is, as after a cut."""
    try:
        value = json.loads(arguments, strict=False)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        return {}
    value = json.loads(LONE_SURROGATES.sub("\ufffd", written))
    return value if isinstance(value, dict) else {}


def _usage(update: Update) -> dict[str, Any]:
    thought = {"output_tokens_details": {"thinking_tokens": update.thought_tokens}}
    return {
        **(thought if update.thought_tokens else {}),
        "input_tokens": update.prompt_tokens,
        "output_tokens": update.tokens,
        "cache_creation_input_tokens": 0,
        # A stream begins before it is known, and clients add up what begins and what ends it.
        "cache_read_input_tokens": 0,
    }
