"""What is asked, and what is measured of it; the same for every server.

The messages are the same in each run, and different for each person and each
measurement, and door, so that no server gains from what it has read before but
where a user would too.
"""

import random
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tokenizers import Tokenizer

from benchmarks import figures, load
from benchmarks.client import Turn
from benchmarks.figures import Figures, Reply
from benchmarks.load import Job, Person

HEROES = ["a fox", "a baker", "a lighthouse keeper", "two sisters", "a clockmaker", "a pilot"]
HEROES += ["a gardener", "an old sailor", "a robot", "a painter", "a farmer", "a young king"]
HEROES += ["a teacher", "a postman", "a violinist", "a shepherd"]
PLACES = ["in the mountains", "by the sea", "in a big city", "on a small island", "in the desert"]
PLACES += ["at the north pole", "in an old castle", "on a train"]
WORDS = ["river", "stone", "winter", "letter", "garden", "silver", "window", "bridge", "market"]
WORDS += ["shadow", "music", "harbour", "ladder", "forest", "engine", "yellow", "basket", "thunder"]

#: So many turns, from the second on, are the early ones, and as many the late ones.
SOME = 5


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    #: How many people at once, in turn.
    users: tuple[int, ...] = (1, 2, 4, 8, 16)
    #: Tokens of a reply, at most; a model may end it sooner, and the rates count what came.
    tokens: int = 200
    #: Turns of the conversation that grows, and the tokens of each of its replies.
    turns: int = 10
    turn_tokens: int = 40
    #: Tokens of the long message.
    long: int = 2000


QUICK = Size(users=(1, 2), tokens=24, turns=3, turn_tokens=8, long=300)


@dataclass(frozen=True)
class Scenarios:
    """The measurements, each a function of a server, its process and the door."""

    size: Size
    tokenizer: Tokenizer

    def each(self) -> Iterator[Callable[[str, int, str], Figures]]:
        """Yield the measurements, to be run one after the other, on several servers in turn."""
        yield self.growing
        yield self.long
        for users in self.size.users:
            yield partial(self.users, users)
        yield self.joining

    def growing(self, url: str, pid: int, door: str = "page") -> Figures:
        """Measure the wait for the first token while a conversation grows by the same text."""
        story = Person(
            [story_of(0, 7, door)] * self.size.turns, self.controls(self.size.turn_tokens)
        )
        (turns,) = load.start(Job(url, pid, [story], door)).turns
        waits = [1000 * self.count(turn).first_token for turn in turns]
        return {
            "first_token_first_turn_ms": waits[0],
            "first_token_early_turns_ms": statistics.median(waits[1 : 1 + SOME] or waits),
            "first_token_late_turns_ms": statistics.median(waits[-SOME:]),
            "first_token_last_turn_ms": waits[-1],
        }

    def long(self, url: str, pid: int, door: str = "page") -> Figures:
        """Measure the wait for the first token after a long message, and after one more."""
        reader = Person([self.long_text(1, door), "Why?"], self.controls(self.size.turn_tokens))
        (turns,) = load.start(Job(url, pid, [reader], door)).turns
        first, second = (1000 * self.count(turn).first_token for turn in turns)
        return {"first_token_long_ms": first, "first_token_after_long_ms": second}

    def users(self, users: int, url: str, pid: int, door: str = "page") -> Figures:
        """Measure so many people at once, each with another story."""
        people = [
            Person([story_of(user, users % 7, door)], self.controls(self.size.tokens, user))
            for user in range(users)
        ]
        came = load.start(Job(url, pid, people, door))
        replies = [self.count(turns[0]) for turns in came.turns]
        measured = figures.together(replies, came.server_cpu if pid else None, came.client_cpu)
        measured["other_cpu_percent"] = 100 * came.other_cpu / (measured["seconds"] or 1)
        return figures.named(f"users_{users}", measured)

    def joining(self, url: str, pid: int, door: str = "page") -> Figures:
        """Measure how smoothly one reply is written while someone else's long message is read."""
        writer = Person([story_of(5, 6, door)], self.controls(self.size.tokens))
        joiner = Person([self.long_text(2, door)], self.controls(self.size.turn_tokens), after=0)
        (first,), (second,) = load.start(Job(url, pid, [writer, joiner], door)).turns
        measured = figures.gaps([self.count(first)])
        measured["joiner_first_token_ms"] = 1000 * self.count(second).first_token
        return figures.named("joining", measured)

    def controls(self, tokens: int, user: int = 0) -> dict[str, object]:
        """Return the controls that are moved; the others stay as the page has them."""
        return {"Max new tokens": tokens, "Seed": user + 1}

    def count(self, turn: Turn) -> Reply:
        """Return the reply with its tokens counted."""
        encoding = self.tokenizer.encode(turn.text, add_special_tokens=False)
        return figures.count(turn, [end for _, end in encoding.offsets])

    def long_text(self, number: int, door: str = "page") -> str:
        """Return a message of about `size.long` tokens."""
        dice = random.Random(f"{number} {door}")
        words: list[str] = []
        while (missing := self.size.long - self._length(words)) > 0:
            words += dice.choices(WORDS, k=max(1, missing // 8))
        return f"What do these words have in common? {' '.join(words)}"

    def _length(self, words: list[str]) -> int:
        return len(self.tokenizer.encode(" ".join(words), add_special_tokens=False).ids)


def story_of(user: int, number: int, door: str = "page") -> str:
    """Return what a person asks for in one measurement, in another way at each door."""
    hero, place = HEROES[user % len(HEROES)], PLACES[number % len(PLACES)]
    asks = "Tell" if door == "page" else "Please write"
    return f"{asks} a long story about {hero} {place}, with at least five paragraphs."
