"""How likely the tokens of a reply were, as whoever asked for it reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

from chat.core.engine import Scored
from chat.core.tokens import Tokens
from prompts.thoughts import Span

#: What stands for less, down to minus infinity, which JSON does not have; OpenAI's.
LOWEST = -9999.0


@dataclass(frozen=True)
class TokenScore:
    """A token, and how likely the model found it (see `chat.core.engine.Scored`)."""

    #: U+FFFD stands in it for what is a part of a character only.
    text: str
    bytes: bytes
    logprob: float
    #: The likeliest in its place, the likeliest first; they have no such list themselves.
    top: tuple["TokenScore", ...] = ()


class Scores:
    """Those of one reply, as far as its text can be shown.

    A character can need several tokens; all of them end where it does.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._ended: list[tuple[int, TokenScore]] = []
        self._pending: list[TokenScore] = []

    def add(self, id: Scored, text: str, end: int) -> None:
        """Take the next token, which completed `text`, up to the character `end` of the reply."""
        top = tuple(self._score(one, logprob) for one, logprob in id.top)
        self._pending.append(self._score(id, id.logprob, top))
        if text:
            self._ended += [(end, score) for score in self._pending]
            self._pending.clear()

    def within(self, spans: Sequence[Span], *, finished: bool) -> tuple[TokenScore, ...]:
        """Return those of the tokens that end within these parts of the reply.

        Of one that is `finished`, half a character at the end too.
        """
        shown = [one for end, one in self._ended if any(a < end <= b for a, b in spans)]
        return (*shown, *(self._pending if finished else []))

    def _score(self, id: int, logprob: float, top: tuple[TokenScore, ...] = ()) -> TokenScore:
        written = self._tokens.bytes_of(id)
        return TokenScore(written.decode(errors="replace"), written, max(LOWEST, logprob), top)
