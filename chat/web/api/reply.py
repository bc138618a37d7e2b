"""Replies in OpenAI's shapes: as a whole, or in chunks."""

import secrets
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, ClassVar

from chat.core.chat import Chat, Update
from chat.core.scores import TokenScore
from chat.web.api.errors import refusal
from chat.web.api.events import event
from chat.web.api.shapes import RequestBody
from prompts import Call

FINISHED = {"finished": "stop", "length": "length"}


class TextReply:
    """What follows a text (see `Writer`)."""

    id = "cmpl"
    kind = chunk_kind = "text_completion"
    first: ClassVar[dict[str, Any]] = {"text": ""}
    last: ClassVar[dict[str, Any]] = {"text": ""}

    def __init__(self, body: RequestBody, chat: Chat, replies: int) -> None:
        self._head = {
            "id": f"{self.id}-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": chat.name,
        }
        self._with_usage = body.with_usage
        self._thinks = chat.format.thoughts is not None
        self._sent = [Update("waiting")] * replies
        #: How many of them there are to one prompt.
        self._each = body.replies
        self._ids: dict[tuple[int, int], str] = {}

    def whole(self, updates: Sequence[Update]) -> dict[str, Any]:
        """See `Writer.whole`."""
        choices = [
            _choice(place, self._said(place, update), self._scores(update), _reason(update))
            for place, update in enumerate(updates)
        ]
        return {
            **self._head,
            "object": self.kind,
            "choices": choices,
            "usage": self._usage(updates),
        }

    def begin(self) -> Iterable[bytes]:
        """See `Writer.begin`."""
        return [self._chunk(place, self.first) for place in range(len(self._sent))]

    def more(self, place: int, update: Update) -> Iterable[bytes]:
        """See `Writer.more`."""
        sent, ended = self._sent[place], update.state in FINISHED
        parts = list(self._new(place, sent, update))
        # They come with the text, and those that complete none with the next one.
        if parts or ended:
            scores = self._scores(update, len(self._sent[place].scored))
            for said in parts:
                yield self._chunk(place, said, scores)
                scores = None
            self._sent[place] = update
            if ended:
                yield self._chunk(place, self.last, scores, _reason(update))

    def end(self, updates: Sequence[Update]) -> Iterable[bytes]:
        """See `Writer.end`."""
        if self._with_usage:
            head = {**self._head, "object": self.chunk_kind}
            yield event({**head, "choices": [], "usage": self._usage(updates)})
        yield event(b"[DONE]")

    def failed(self, error: Exception) -> bytes:
        """See `Writer.failed`."""
        return event(bytes(refusal(error).body))

    def _chunk(self, place: int, said: Any, scores: Any = None, reason: Any = None) -> bytes:
        choices = [_choice(place, said, scores, reason)]
        chunk = {**self._head, "object": self.chunk_kind, "choices": choices}
        # The last of a stream has it, and the others then say that they do not.
        return event({**chunk, "usage": None} if self._with_usage else chunk)

    def _usage(self, updates: Sequence[Update]) -> dict[str, Any]:
        # Of several replies to one prompt the first had it read, and the others found it there.
        first = updates[:: self._each]
        read = sum(update.prompt_tokens for update in first)
        written = sum(update.tokens for update in updates)
        cached = [one.cached_tokens for one in first if one.cached_tokens is not None]
        known = {"cached_tokens": sum(cached)}
        thought = {"reasoning_tokens": sum(update.thought_tokens for update in updates)}
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
            **({"prompt_tokens_details": known} if cached else {}),
            **({"completion_tokens_details": thought} if self._thinks else {}),
        }

    def _said(self, place: int, update: Update) -> dict[str, Any]:
        """Return what a whole reply says."""
        return {"text": update.text}

    def _scores(self, update: Update, sent: int = 0) -> dict[str, Any] | None:
        """Return how likely the tokens of a reply were, but for those that are `sent`."""
        if not update.scored[sent:]:
            return None
        offsets = accumulate((len(_text(one)) for one in update.scored), initial=0)
        scores = update.scored[sent:]
        return {
            "tokens": [one.text for one in scores],
            "token_logprobs": [one.logprob for one in scores],
            "top_logprobs": [{top.text: top.logprob for top in one.top} for one in scores],
            "text_offset": list(offsets)[sent:-1],
        }

    def _new(self, place: int, sent: Update, update: Update) -> Iterable[dict[str, Any]]:
        """Yield what is new of a reply."""
        if new := update.text[len(sent.text) :]:
            yield {"text": new}


class ChatReply(TextReply):
    """The assistant's next message."""

    id = "chatcmpl"
    kind, chunk_kind = "chat.completion", "chat.completion.chunk"
    first: ClassVar = {"delta": {"role": "assistant", "content": ""}}
    last: ClassVar = {"delta": {}}

    def _said(self, place: int, update: Update) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": update.text, "refusal": None}
        if update.calls:
            message["content"] = update.text or None
            message["tool_calls"] = [
                self._called(place, index, call) for index, call in enumerate(update.calls)
            ]
        if update.thought:
            message["reasoning_content"] = update.thought
        return {"message": message}

    def _new(self, place: int, sent: Update, update: Update) -> Iterable[dict[str, Any]]:
        if thought := update.thought[len(sent.thought) :]:
            yield {"delta": {"reasoning_content": thought}}
        if new := update.text[len(sent.text) :]:
            yield {"delta": {"content": new}}
        for index, call in enumerate(update.calls):
            if index >= len(sent.calls):
                begun = self._called(place, index, call._replace(arguments=""))
                yield {"delta": {"tool_calls": [{"index": index, **begun}]}}
            known = len(sent.calls[index].arguments) if index < len(sent.calls) else 0
            if more := call.arguments[known:]:
                called = {"index": index, "function": {"arguments": more}}
                yield {"delta": {"tool_calls": [called]}}

    def _scores(self, update: Update, sent: int = 0) -> dict[str, Any] | None:
        scores = update.scored[sent:]
        if not scores:
            return None
        content = [{**_score(one), "top_logprobs": list(map(_score, one.top))} for one in scores]
        return {"content": content, "refusal": None}

    def _called(self, place: int, index: int, call: Call) -> dict[str, Any]:
        id = self._ids.setdefault((place, index), f"call_{secrets.token_hex(12)}")
        function = {"name": call.name, "arguments": call.arguments}
        return {"id": id, "type": "function", "function": function}


def _reason(update: Update) -> str:
    called = update.calls and update.state == "finished"
    return "tool_calls" if called else FINISHED[update.state]


def _choice(place: int, said: Any, scores: Any, finish_reason: str | None) -> dict[str, Any]:
    return {"index": place, **said, "logprobs": scores, "finish_reason": finish_reason}


def _score(score: TokenScore) -> dict[str, Any]:
    return {"token": score.text, "bytes": [*score.bytes], "logprob": score.logprob}


def _text(score: TokenScore) -> str:
    """Return what a token adds to the text: of a part of a character nothing."""
    return score.bytes.decode(errors="ignore")
