"""One reply while it is written: its ids become text, and that what is thought, said and called."""

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chat.core.engine import Scored
from chat.core.sampling import Sampling
from chat.core.scores import Scores, TokenScore
from chat.core.stops import Stops
from chat.core.thinking import Ahead, Mark
from chat.core.tokens import Decoder, Tokens
from prompts import Call, PromptFormat
from prompts.thoughts import Span, parts

BLANK_LINES = re.compile(r"\s*\n")


class Composed(NamedTuple):
    """A request as the model gets it, and what of its reply is there already."""

    prompt: list[int]
    negative: list[int]
    sampling: Sampling
    #: The prompt as text, control tokens visible.
    shown_prompt: str
    dropped_turns: int
    format: PromptFormat
    #: See `PromptFormat.opening`.
    opening: str | None
    #: The text of the reply so far, with marks of thoughts.
    begun: str
    begun_ids: list[int]
    #: Where each of them begins in it.
    begun_starts: list[int]
    #: Has read `begun_ids`, since the next token's text can depend on them.
    decoder: Decoder
    #: Set if the model may think before it says anything.
    ahead: Ahead | None
    #: See `chat.core.fitting.session`.
    session: str = ""


class Seen(NamedTuple):
    """What a reply comes to so far (see `chat.core.chat.Update`)."""

    text: str
    thought: str
    calls: tuple[Call, ...]
    tokens: int
    thought_tokens: int
    scored: tuple[TokenScore, ...]


class Reply:
    """Reads the reply to `composed`, which ends before the first of `stop`."""

    def __init__(self, composed: Composed, stop: Sequence[str], tokens: Tokens) -> None:
        self._composed = composed
        self._tokens = tokens
        self._stops, self._scores = Stops(stop), Scores(tokens)
        self._marks = composed.format.thoughts if composed.opening is None else None
        self._text = composed.begun
        self._written: list[int] = []
        #: Where each id begins in the text.
        self._starts: list[int] = []
        #: Whether the last ones are a part of a character.
        self._pending = False
        #: Whether the last thought has not ended.
        self.thinking = False
        #: Whether there is anything thought or said.
        self.begun = False
        #: Whether nothing that may follow would count.
        self.done = False

    @property
    def stopped_by(self) -> str:
        """The stop string that ended it, if one did."""
        return self._stops.by

    @property
    def written(self) -> Sequence[int]:
        """All ids so far."""
        return self._written

    def add(self, ids: Sequence[int]) -> None:
        """Take the next ids, none of which ends a reply."""
        for id in ids:
            self._starts.append(len(self._text))
            self._written.append(id)
            piece = self._composed.decoder.push([id])
            self._text += piece
            self._pending = not piece
            if isinstance(id, Scored):
                self._scores.add(id, piece, len(self._text))

    def look(self, *, finished: bool = False) -> Seen:
        """Return what it comes to, or came to if it is `finished`."""
        found = parts(self._text, self._marks, finished=finished)
        # What was there before is not looked at for stop strings again.
        before = sum(len(self._text[a : min(b, len(self._composed.begun))]) for a, b in found.said)
        said = self._of(found.said)
        said = said[:before] + self._stops.cut(said[before:], finished=finished)
        read = self._composed.format.read(self._tidy(said), finished=finished)
        self.thinking, self.begun = found.thinking, found.begun
        self.done = self._stops.found or read.done
        return Seen(
            text=read.content,
            thought="\n\n".join(filter(None, (self._of([one]).strip() for one in found.thoughts))),
            calls=read.calls,
            tokens=len(self._written),
            thought_tokens=sum(map(self._tokens_in, found.thoughts)),
            scored=self._scores.within(
                list(_first(found.said, len(said))), finished=finished and not self._stops.found
            ),
        )

    def remember(self) -> None:
        """Keep the ids of what it says, for the prompts of later turns.

        With a thought only if they begin where the text does: later prompts leave the thought out,
        and what stands between the two.
        """
        found = parts(self._text, self._marks, finished=True)
        if self._stops.found or self._pending:
            return
        opening = self._composed.opening or ""
        ids = [*self._composed.begun_ids, *map(int, self._written)]
        if not found.thoughts:
            self._tokens.remember(self._tidy(self._text).removeprefix(opening), ids)
            return
        start, end = found.said[-1]
        said = self._text[start:end]
        start += len(said) - len(said.lstrip())
        starts = [*self._composed.begun_starts, *self._starts]
        place = bisect_left(starts, start)
        if said.strip() and starts[place : place + 1] == [start]:
            self._tokens.remember(said.strip(), ids[place:])

    def _tokens_in(self, thought: Span) -> int:
        """Return how many tokens the model wrote of a thought."""
        starts = range(*(bisect_left(self._starts, place) for place in thought))
        return sum(not isinstance(self._written[place], Mark) for place in starts)

    def _of(self, spans: Sequence[Span]) -> str:
        return "".join(self._text[start:end] for start, end in spans)

    def _tidy(self, said: str) -> str:
        opening = self._composed.opening
        return tidy(said) if opening is None else opening + said


def _first(spans: Sequence[Span], characters: int) -> Iterator[Span]:
    """Yield so many characters of the spans."""
    for start, end in spans:
        yield Span(start, min(end, start + characters))
        characters = max(0, characters - (end - start))


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
