"""What is asked, and what is measured of it; the same for every server.

The messages begin in another way for each run, kind of door, measurement and person,
so that no server gains from what it has read before but where a user would too.
Those of an API are the same at each server of a run.
"""

import random
import secrets
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from benchmarks import figures, load
from benchmarks.client import Turn
from benchmarks.drawn import controls
from benchmarks.figures import Figures, Reply
from benchmarks.load import Door, Job, Person

if TYPE_CHECKING:
    from chat.core.chat import Chat

HEROES = ["a fox", "a baker", "a lighthouse keeper", "two sisters", "a clockmaker", "a pilot"]
HEROES += ["a gardener", "an old sailor", "a robot", "a painter", "a farmer", "a young king"]
HEROES += ["a teacher", "a postman", "a violinist", "a shepherd"]
PLACES = ["in the mountains", "by the sea", "in a big city", "on a small island", "in the desert"]
PLACES += ["at the north pole", "in an old castle", "on a train"]
WORDS = ["river", "stone", "winter", "letter", "garden", "silver", "window", "bridge", "market"]
WORDS += ["shadow", "music", "harbour", "ladder", "forest", "engine", "yellow", "basket", "thunder"]

Measure = Callable[[Door], Figures]

#: So many turns, from the second on, are the early ones, and as many the late ones.
SOME = 5


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    #: How many people at once, in turn.
    users: tuple[int, ...] = (1, 2, 4, 8, 16)
    #: Tokens of a reply.
    tokens: int = 200
    #: Turns of the conversation that grows, and the tokens of each of its replies.
    turns: int = 10
    turn_tokens: int = 40
    #: Tokens of the long message.
    long: int = 2000


QUICK = Size(users=(1, 2), tokens=24, turns=3, turn_tokens=8, long=300)


@dataclass(frozen=True)
class Scenarios:
    """The measurements of one run, each a function of the door."""

    size: Size
    tokenizer: Tokenizer
    #: What no other run has, of this command or another.
    nonce: str = field(default_factory=secrets.token_hex)

    def each(self) -> Iterator[Measure]:
        """Yield the measurements, to be run one after the other, on several servers in turn."""
        yield self.growing
        yield self.long
        for users in self.size.users:
            yield partial(self.users, users)
        yield self.joining

    def growing(self, door: Door) -> Figures:
        """Measure the wait for the first token while a conversation grows by the same text.

        With `2 * SOME + 1` turns or more none is both an early and a late one; it is up to
        whoever chooses the size.
        """
        said = self._marked(story_of(0, 7), door, "growing")
        story = Person([said] * self.size.turns, controls(self.size.turn_tokens))
        (turns,) = load.start(Job(door, [story])).turns
        waits = [1000 * self.count(turn).first_token for turn in turns]
        warm = waits[1:] or waits
        return {
            "first_token_first_turn_ms": waits[0],
            "first_token_early_turns_ms": statistics.median(warm[:SOME]),
            "first_token_late_turns_ms": statistics.median(warm[-SOME:]),
            "first_token_last_turn_ms": waits[-1],
        }

    def long(self, door: Door) -> Figures:
        """Measure the wait for the first token after a long message, and after one more."""
        said = self._marked(self.long_text(1), door, "long")
        reader = Person([said, "Why?"], controls(self.size.turn_tokens))
        (turns,) = load.start(Job(door, [reader])).turns
        first, second = (1000 * self.count(turn).first_token for turn in turns)
        return {"first_token_long_ms": first, "first_token_after_long_ms": second}

    def users(self, users: int, door: Door) -> Figures:
        """Measure so many people at once, each with another story."""
        people = [
            Person(
                [self._marked(story_of(user, users), door, users, user)],
                controls(self.size.tokens, user + 1),
            )
            for user in range(users)
        ]
        came = load.start(Job(door, people))
        replies = [self.count(turns[0]) for turns in came.turns]
        cpu = came.server_cpu if door.pid else None
        measured = figures.together(replies, cpu, came.client_cpu)
        # Where the server's process is not known, its own time would be that of others.
        others = 100 * came.other_cpu / (measured["seconds"] or 1)
        measured["other_cpu_percent"] = others if door.pid else None
        return figures.named(f"users_{users}", measured)

    def joining(self, door: Door) -> Figures:
        """Measure how smoothly one reply is written while someone else's long message is read."""
        story = self._marked(story_of(5, 6), door, "writer")
        text = self._marked(self.long_text(2), door, "joiner")
        writer = Person([story], controls(self.size.tokens))
        joiner = Person([text], controls(self.size.turn_tokens), after=0)
        (first,), (second,) = load.start(Job(door, [writer, joiner])).turns
        measured = figures.gaps([self.count(first)])
        measured["joiner_first_token_ms"] = 1000 * self.count(second).first_token
        return figures.named("joining", measured)

    def count(self, turn: Turn) -> Reply:
        """Return the reply with its tokens counted."""
        encoding = self.tokenizer.encode(turn.text, add_special_tokens=False)
        return figures.count(turn, [end for _, end in encoding.offsets])

    def long_text(self, number: int) -> str:
        """Return a message of about `size.long` tokens."""
        dice = random.Random(number)
        words: list[str] = []
        while (missing := self.size.long - self._length(words)) > 0:
            words += dice.choices(WORDS, k=max(1, missing // 8))
        return f"What do these words have in common? {' '.join(words)}"

    def _length(self, words: list[str]) -> int:
        return len(self.tokenizer.encode(" ".join(words), add_special_tokens=False).ids)

    def _marked(self, message: str, door: Door, *of: object) -> str:
        return marked(message, self.nonce, door.kind, *of)


def story_of(user: int, number: int) -> str:
    """Return what a person asks for in one measurement."""
    hero, place = HEROES[user % len(HEROES)], PLACES[number % len(PLACES)]
    return f"Tell a long story about {hero} {place}, with at least five paragraphs."


def marked(message: str, *of: object) -> str:
    """Return a message that begins with a number, another one for all that it is of.

    What a server has read before is of use to it only as far as prompts begin alike.
    """
    number = random.Random(" ".join(map(str, of))).randrange(10**8, 10**9)
    return f"{number}. {message}"


def prompt(chat: "Chat", message: str, tokens: int, system: str = "") -> list[int]:
    """Return the ids that a chat makes of a message, with room for so many tokens of a reply."""
    from chat.core.conversation import rebuild
    from chat.core.fitting import fit

    asked, window = rebuild([], message, system), chat.engine.window
    return fit(asked, chat.format, chat.tokens, window=window, max_new_tokens=tokens).ids
