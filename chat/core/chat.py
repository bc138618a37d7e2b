"""The heart: one message in, the reply so far out, again and again.

    a Conversation, clean as `conversation.rebuild` makes it of what people send
      -> fitting.fit              prompt ids that fit the window
      -> gate                     a place in line
      -> engine.generate          ids, from a worker
      -> tokens.decoder           text, a piece at a time
      -> Update                   the reply so far

It is an async generator, so whoever consumes it cancels by closing it: Stop, a
closed tab, Ctrl-C and an error all run the same `finally` blocks down to the
engine. It knows no page; see `chat.web.page.ask` for how Gradio uses it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from copy import copy
from dataclasses import dataclass, replace
from itertools import accumulate
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from chat.core import thinking
from chat.core.conversation import Conversation, clean
from chat.core.engine import Cached, Engine, Queued, Resumed
from chat.core.fitting import Prompt, check_lengths, fit, session
from chat.core.gate import Gate
from chat.core.meter import Measured, Meter
from chat.core.own import Own
from chat.core.reply import Composed, Reply
from chat.core.sampling import Sampling
from chat.core.scores import TokenScore
from chat.core.shares import Share, Shares, asking
from chat.core.thinking import Ahead
from chat.core.tokens import Tokens
from chat.errors import BadRequest, EngineError, RateLimited, RequestError
from prompts import Call, Message, PromptError, PromptFormat, Tooled
from prompts.formats.plain import Plain

#: Seconds between two updates of one reply, at least and at most. A browser shows no more, and
#: each costs the server 1 to 2 ms; what is written meanwhile comes with the next.
INTERVAL, LONGEST = 0.04, 0.125
Found = TypeVar("Found")

#: How many replies at once are updated as often as one alone.
FEW = 16


def interval(replies: int) -> float:
    """Return the seconds between two updates of one of so many replies at once.

    So beyond a few replies they have 400 updates a second in all, until each has 8: one core.
    """
    return min(INTERVAL * max(1.0, replies / FEW), LONGEST)


@dataclass(frozen=True)
class Update:
    """Where one reply stands."""

    state: Literal["waiting", "reading", "thinking", "writing", "finished", "length"]
    #: The whole reply so far.
    text: str = ""
    #: The calls of tools in it; of the last one there may be only a part.
    calls: tuple[Call, ...] = ()
    #: What the model thought before it, or between two parts of it, so far.
    thought: str = ""
    #: How many people come first, while waiting.
    place: int = 0
    #: Whether others come first elsewhere, where the model is.
    queued: bool = False
    #: The prompt as the model reads it, control tokens visible.
    prompt: str = ""
    prompt_tokens: int = 0
    #: How many of them were in the prefix cache, if the engine says so.
    cached_tokens: int | None = None
    #: How many of the oldest turns did not fit the window.
    dropped_turns: int = 0
    #: How many tokens were written, without the one that ends the reply.
    tokens: int = 0
    #: How many of them are thought.
    thought_tokens: int = 0
    #: Seconds from when the reply was asked for to the first of them, and from that to the last.
    first_token: float = 0.0
    seconds: float = 0.0
    #: How many of those passed while it thought.
    thought_seconds: float = 0.0
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
        suited: Mapping[str, Any] = MappingProxyType({}),
        adapters: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.gate = gate
        #: What is counted of all replies.
        self.meter = Meter()
        #: What each visitor has of it.
        self.shares = Shares()
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
        #: The controls that suit the model, as `chat.core.sampling.suited` returns them.
        self.suited = suited
        #: By what the model can be changed, the default one first (see `Sampling.adapter`).
        self.adapters = adapters
        self._own = Own()
        self._composing = asyncio.Semaphore(2)

    async def reply(self, conversation: Conversation, sampling: Sampling) -> AsyncGenerator[Update]:
        """Answer the last message, or go on with the reply to it: all texts begin with that.

        Raises:
            RequestError: it cannot be answered, and cost nothing, but for a grammar that was tried.
            EngineError: the model failed on the way; the text so far stands.
        """
        place, coming = self.shares.place(asking.get()), self.gate.coming()
        with self.meter.reply() as measured, place as measured.share, coming:
            self._check_supported(sampling, conversation.begun)
            self.gate.check()
            await self._admit(measured.share, sampling)
            composed = await self._aside(measured.share, self._compose, conversation, sampling)
            with self.gate.enter(measured.share) as ticket:
                while ticket.place:
                    dropped = composed.dropped_turns
                    yield Update("waiting", place=ticket.place, dropped_turns=dropped)
                    await ticket.wait()
                measured.begin(len(composed.prompt), composed.dropped_turns)
                async with aclosing(self._answer(composed, measured)) as updates:
                    async for update in updates:
                        yield update

    def check_room(self, replies: int) -> None:
        """Raise QueueFull or Draining if there is no room for so many replies."""
        try:
            self.gate.check(replies)
        except RequestError as error:
            self.meter.refused[type(error).__name__] += 1
            raise

    async def _admit(self, share: Share, sampling: Sampling) -> None:
        """Ask the engine; trying a grammar takes seconds, so it is a request without a reply."""
        try:
            await self.engine.admit(sampling)
        except (BadRequest, EngineError, asyncio.CancelledError):
            with suppress(RateLimited):
                share.count()
            raise

    def called(self, name: str) -> "Chat":
        """Return the same under another name."""
        other = copy(self)
        other.name = name
        return other

    def prompting(self, format: PromptFormat) -> "Chat":
        """Return the same model and gate, prompted in another way."""
        other = copy(self)
        other.format = format
        return other

    async def beside(self, work: Callable[..., Found], *given: Any) -> Found:
        """Do something with the tokenizer for whoever asks, in a thread: two at a time in all.

        Raises:
            RateLimited: whoever asks has asked for too much.
        """
        with self.shares.place(asking.get()) as share, self.gate.coming():
            found = await self._aside(share, work, *given)
            share.count()
            return found

    async def _aside(self, share: Share, work: Callable[..., Found], *given: Any) -> Found:
        """Do it in a thread, two at a time, since a long history would hold up everyone else.

        A thread goes on when whoever asked has left: in its place, and it counts as a request.
        """
        await self._composing.acquire()
        working = asyncio.create_task(asyncio.to_thread(work, *given))
        working.add_done_callback(self._done)
        try:
            return await asyncio.shield(working)
        finally:
            if not working.done():
                with suppress(RateLimited):
                    share.count()

    def _done(self, working: asyncio.Task[Any]) -> None:
        self._composing.release()
        if not working.cancelled():
            working.exception()  # which nobody may be there for

    async def prompt(self, conversation: Conversation) -> list[int]:
        """Return the ids of the prompt for a conversation, of which nothing is left out.

        Raises:
            BadRequest: the prompt format refuses it.
            TooLong: one message has more characters than any that is answered.
            RateLimited: whoever asks has asked for too much.
        """
        return await self.beside(self._encode, conversation)

    def _encode(self, conversation: Conversation) -> list[int]:
        asked, begun = conversation.asked, conversation.begun
        check_lengths(asked, begun, self.engine.window)
        said = begun.content.removeprefix(self.format.opening(asked) or "")
        try:
            return self.tokens.encode(self.format.begun(asked, begun._replace(content=said)).pieces)
        except PromptError as error:
            raise BadRequest(str(error), error.field) from None

    def _check_supported(self, sampling: Sampling, begun: Message) -> None:
        if sampling.thinking == "on" and not self.format.thoughts:
            raise BadRequest("This model does not think before it replies.", "thinking")
        if begun.size and sampling.tied:
            raise BadRequest(
                "A reply that has to fit a pattern or a schema cannot be continued.", "message"
            )
        self.check(sampling)

    def check(self, sampling: Sampling) -> None:
        """Raise BadRequest for what the engine, or the model that it runs, cannot do."""
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

    def _compose(self, conversation: Conversation, sampling: Sampling) -> Composed:
        format = self.format.asking(sampling.thinking)
        opening = format.opening(conversation.asked)
        said = conversation.begun.content.removeprefix(opening or "")
        conversation = conversation.with_begun(said, conversation.begun.thought)
        sampling = sampling.at_most(self.longest or sampling.max_new_tokens)
        ids, dropped_turns, begun, kept = self._fit(conversation, format, sampling)
        other = sampling.negative_prompt and conversation.with_system(
            clean(sampling.negative_prompt).strip()
        )
        negative = self._fit(other, format, sampling).ids if other else []
        begun_ids = self.tokens.encode(begun.reply)
        decoder, other_decoder = (self.tokens.decoder(format.shown) for _ in range(2))
        starts = list(accumulate((len(decoder.push([id])) for id in begun_ids), initial=0))
        # The white space at its end was left out of what was shown.
        text = begun.lead + other_decoder.push(begun_ids)
        exact = begun.lead or conversation.begun.thought or text.strip() == said.strip()
        thinks = format.thoughts if begun.thinks else None
        return Composed(
            prompt=ids,
            negative=negative,
            # The reply gets what the prompt leaves.
            sampling=sampling.at_most(self.engine.window - max(len(ids), len(negative))),
            shown_prompt=self.tokens.show(ids),
            dropped_turns=dropped_turns,
            format=format,
            opening=opening,
            begun=text if exact else said,
            begun_ids=begun_ids,
            begun_starts=[len(begun.lead) + start for start in starts[:-1]],
            decoder=decoder,
            ahead=thinks and Ahead(thinks, text, other_decoder),
            session=session(kept),
        )

    def _fit(self, conversation: Conversation, format: PromptFormat, sampling: Sampling) -> Prompt:
        try:
            return fit(
                conversation,
                format,
                self.tokens,
                window=self.engine.window,
                max_new_tokens=sampling.max_new_tokens,
            )
        except PromptError as error:
            raise BadRequest(str(error), error.field) from None

    async def _answer(self, composed: Composed, measured: Measured) -> AsyncGenerator[Update]:
        sampling = composed.sampling
        reply = Reply(composed, sampling.stop, self.tokens)
        update = Update(
            "reading",
            prompt=composed.shown_prompt,
            prompt_tokens=len(composed.prompt),
            dropped_turns=composed.dropped_turns,
            # What is there already becomes no mark.
            **(reply.look(finished=True)._asdict() if composed.begun else {}),
        )
        yield update
        ended, first, now = False, 0.0, 0.0
        visitor = asking.get()
        own = self._own.shared(visitor, composed.session, composed.prompt)
        try:
            generated = thinking.generate(
                self.engine,
                self.tokens,
                composed.prompt,
                sampling,
                composed.negative,
                composed.ahead,
                composed.session,
            )
            async with aclosing(generated) as batches:
                async for ids in batches:
                    measured.wrote(len(ids))
                    if isinstance(ids, Resumed):
                        measured.resumed()
                    # Later it is of a prompt with a part of the reply in it.
                    if isinstance(ids, Cached) and not first:
                        cached = min(ids.tokens, own)
                        update = replace(update, cached_tokens=cached)
                    now = time.monotonic()
                    first = first or (now if ids else 0.0)
                    new = [id for id in ids if id not in self.engine.stop_ids]
                    ended = ended or len(new) < len(ids)
                    reply.add(new)
                    seconds = now - first if first else 0.0
                    seen, state = reply.look(), update.state
                    if reply.begun:
                        state = "thinking" if reply.thinking else "writing"
                    spent = seconds if reply.thinking or not seen.text else update.thought_seconds
                    update = replace(
                        update,
                        state=state,
                        queued=isinstance(ids, Queued),
                        first_token=first - measured.asked if first else 0.0,
                        seconds=seconds,
                        thought_seconds=spent if seen.thought else 0.0,
                        **seen._asdict(),
                    )
                    if reply.done:
                        break
                    yield update
                    if ids:
                        await asyncio.sleep(interval(self.gate.inside))
        finally:
            reply.remember()
            self._own.keep(visitor, composed.session, [*composed.prompt, *reply.written])
        update = replace(update, **reply.look(finished=True)._asdict())
        full = update.tokens >= sampling.max_new_tokens
        cut = full and not (ended or reply.done)
        measured.ending = "length" if cut else "stop"
        yield replace(update, state="length" if cut else "finished", stopped_by=reply.stopped_by)
