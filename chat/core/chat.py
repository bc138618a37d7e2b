"""The heart: one message in, the reply so far out, again and again.

    a Conversation, clean as `conversation.rebuild` makes it of what people send
      -> conversation.fit         prompt ids that fit the window
      -> gate                     a place in line
      -> engine.generate          ids, from a worker thread
      -> tokens.decoder           text, a piece at a time
      -> Update                   the reply so far

It is an async generator, so whoever consumes it cancels by closing it: Stop, a
closed tab, Ctrl-C and an error all run the same `finally` blocks down to the
engine. It knows no page; see `chat.web.page.page` for how Gradio uses it.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from chat.core.conversation import Conversation, Prompt, check_lengths, clean, fit
from chat.core.engine import Engine, Scored
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.core.scores import Scores, TokenScore
from chat.core.stops import Stops
from chat.core.tokens import Decoder, Tokens
from chat.errors import BadRequest
from prompts import Call, PromptError, PromptFormat, Tooled
from prompts.formats.plain import Plain

#: Seconds between two updates of one reply. A browser shows no more, and each
#: costs the server 1 to 2 ms; what is written meanwhile comes with the next.
INTERVAL = 0.04

BLANK_LINES = re.compile(r"\s*\n")


@dataclass(frozen=True)
class Update:
    """Where one reply stands."""

    state: Literal["waiting", "reading", "writing", "finished", "length"]
    #: The whole reply so far.
    text: str = ""
    #: The calls of tools in it; of the last one there may be only a part.
    calls: tuple[Call, ...] = ()
    #: How many people come first, while waiting.
    place: int = 0
    #: The prompt as the model reads it, control tokens visible.
    prompt: str = ""
    prompt_tokens: int = 0
    #: How many of the oldest turns did not fit the window.
    dropped_turns: int = 0
    #: How many tokens were written, without the one that ends the reply.
    tokens: int = 0
    #: Seconds from the first of them to the last.
    seconds: float = 0.0
    #: How likely they were, if that was asked for, of those whose text is in `text`, stray
    #: white space aside. One that a stop string cut in two is not among them.
    scored: tuple[TokenScore, ...] = ()
    #: The stop string that ended the reply, if one did.
    stopped_by: str = ""


class Chat:
    """A model ready to chat: engine, tokenizer, prompt format and the gate to them."""

    def __init__(
        self,
        engine: Engine,
        tokens: Tokens,
        format: PromptFormat,
        gate: Gate,
        plain: PromptFormat | None = None,
        name: str = "model",
        longest: int | None = None,
        tooled: Tooled | None = None,
        adapters: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.gate = gate
        self.tokens = tokens
        self.format = format
        #: How this model continues a text, as base models do.
        self.plain = plain or Plain()
        #: How it is told of tools, if it knows any.
        self.tooled = tooled
        #: What the model may be called in public.
        self.name = name
        #: Most tokens of a reply, if the host limits them more than the window does.
        self.longest = longest
        #: By what the model can be changed, the default one first (see `Sampling.adapter`).
        self.adapters = adapters
        self._composing = asyncio.Semaphore(2)

    async def reply(self, conversation: Conversation, sampling: Sampling) -> AsyncGenerator[Update]:
        """Answer the last message, or go on with the reply to it: all texts begin with that.

        Raises:
            RequestError: it cannot be answered, and cost nothing.
            EngineError: the model failed on the way; the text so far stands.
        """
        self._check_supported(sampling, conversation.begun)
        self.gate.check()
        await self.engine.admit(sampling)
        # In a thread, since a long history would hold up everyone else's replies.
        async with self._composing:
            composed = await asyncio.to_thread(self._compose, conversation, sampling)
        with self.gate.enter() as ticket:
            while ticket.place:
                yield Update("waiting", place=ticket.place)
                await ticket.wait()
            async with aclosing(self._answer(composed, composed.sampling)) as updates:
                async for update in updates:
                    yield update

    def prompting(self, format: PromptFormat) -> "Chat":
        """Return the same model and gate, prompted in another way."""
        other = copy(self)
        other.format = format
        return other

    async def prompt(self, conversation: Conversation) -> list[int]:
        """Return the ids of the prompt for a conversation, of which nothing is left out.

        Raises:
            BadRequest: the prompt format refuses it.
            TooLong: one message has more characters than any that is answered.
        """
        async with self._composing:
            return await asyncio.to_thread(self._encode, conversation)

    def _encode(self, conversation: Conversation) -> list[int]:
        asked, begun = conversation.asked, conversation.begun
        check_lengths(asked, begun, self.engine.window)
        begun = begun.removeprefix(self.format.opening(asked) or "")
        try:
            return self.tokens.encode(
                self.format.begun(asked, begun) if begun else self.format.pieces(asked)
            )
        except PromptError as error:
            raise BadRequest(str(error), "message") from None

    def _check_supported(self, sampling: Sampling, begun: str) -> None:
        if begun and (sampling.pattern or sampling.json_schema):
            raise BadRequest(
                "A reply that has to fit a pattern or a schema cannot be continued.", "message"
            )
        for name in sampling.needs():
            if name not in self.engine.supports:
                title = Sampling.model_fields[name].title
                raise BadRequest(f"{title} cannot be used with the engine that runs here.", name)
        if sampling.adapter and sampling.adapter not in self.adapters:
            there = ", ".join(self.adapters)
            sentence = f"There is no such adapter here; there is {there}."
            raise BadRequest(sentence if there else "This model has no adapters.", "adapter")
        for id in sampling.logit_bias:
            if not self.tokens.knows(id):
                raise BadRequest(f"Logit bias names {id}, which is no token here.", "logit_bias")

    def _compose(self, conversation: Conversation, sampling: Sampling) -> "_Composed":
        opening = self.format.opening(conversation.asked)
        begun = conversation.begun.removeprefix(opening or "")
        conversation = conversation.with_begun(begun)
        sampling = sampling.at_most(self.longest or sampling.max_new_tokens)
        ids, dropped_turns = self._fit(conversation, sampling)
        other = sampling.negative_prompt and conversation.with_system(
            clean(sampling.negative_prompt).strip()
        )
        negative = self._fit(other, sampling).ids if other else []
        begun_ids = self.tokens.encode([self.format.beginning(begun)]) if begun else []
        decoder = self.tokens.decoder(self.format.shown)
        # The white space at its end was left out of what was shown.
        decoded = decoder.push(begun_ids)
        return _Composed(
            prompt=ids,
            negative=negative,
            # The reply gets what the prompt leaves.
            sampling=sampling.at_most(self.engine.window - max(len(ids), len(negative))),
            shown_prompt=self.tokens.show(ids),
            dropped_turns=dropped_turns,
            opening=opening,
            begun=decoded if decoded.strip() == begun.strip() else begun,
            begun_ids=begun_ids,
            decoder=decoder,
        )

    def _fit(self, conversation: Conversation, sampling: Sampling) -> Prompt:
        try:
            return fit(
                conversation,
                self.format,
                self.tokens,
                window=self.engine.window,
                max_new_tokens=sampling.max_new_tokens,
            )
        except PromptError as error:
            raise BadRequest(str(error), "message") from None

    async def _answer(self, composed: "_Composed", sampling: Sampling) -> AsyncGenerator[Update]:
        update = Update(
            "reading",
            text=composed.reply("") if composed.begun else "",
            prompt=composed.shown_prompt,
            prompt_tokens=len(composed.prompt),
            dropped_turns=composed.dropped_turns,
        )
        yield update
        stops, scores = Stops(sampling.stop), Scores(self.tokens)
        text, shown, ended, first = "", "", False, 0.0
        written: list[int] = []
        try:
            generated = self.engine.generate(composed.prompt, sampling, composed.negative)
            async with aclosing(generated) as batches:
                async for ids in batches:
                    now = time.monotonic()
                    first = first or (now if ids else 0.0)
                    new = [id for id in ids if id not in self.engine.stop_ids]
                    ended = ended or len(new) < len(ids)
                    written += map(int, new)
                    for id in new:
                        piece = composed.decoder.push([id])
                        text += piece
                        if isinstance(id, Scored):
                            scores.add(id, piece, len(text))
                    shown = stops.cut(text)
                    read = self.format.read(composed.reply(shown), finished=False)
                    update = replace(
                        update,
                        state="writing" if first else "reading",
                        text=read.content,
                        calls=read.calls,
                        tokens=len(written),
                        seconds=now - first if first else 0.0,
                        scored=scores.within(len(shown)),
                    )
                    if stops.found or read.done:
                        break
                    yield update
                    if ids:
                        await asyncio.sleep(INTERVAL)
            if not stops.found:
                shown = text
                update = replace(update, scored=scores.all())
        finally:
            if shown == text:
                self.tokens.remember(
                    composed.reply(text).removeprefix(composed.opening or ""),
                    [*composed.begun_ids, *written],
                )
        read = self.format.read(composed.reply(shown), finished=True)
        full = update.tokens >= sampling.max_new_tokens
        cut = full and not (ended or stops.found or read.done)
        state: Literal["length", "finished"] = "length" if cut else "finished"
        yield replace(update, text=read.content, calls=read.calls, state=state, stopped_by=stops.by)


class _Composed(NamedTuple):
    """A request as the model gets it, and what of its reply is there already."""

    prompt: list[int]
    negative: list[int]
    sampling: Sampling
    #: The prompt as text, control tokens visible.
    shown_prompt: str
    dropped_turns: int
    #: See `PromptFormat.opening`.
    opening: str | None
    begun: str
    begun_ids: list[int]
    #: Has read `begun_ids`, since the next token's text can depend on them.
    decoder: Decoder

    def reply(self, text: str) -> str:
        """Return the whole reply, of which `text` was written now."""
        whole = self.begun + text
        return tidy(whole) if self.opening is None else self.opening + whole


def tidy(text: str) -> str:
    """Strip what is stray around a reply, and nothing inside it.

    Stray are blank lines and the one space that the prompt's last mark leaves
    before a reply, and white space after it. The indentation of code and lists
    is not, nor is that of the first line if it is more than that one space.
    """
    blank = BLANK_LINES.match(text)
    text = text[blank.end() :] if blank else text
    if text[:1] == " " and text[1:2] != " ":
        text = text[1:]
    return text.rstrip()
