"""What is counted of replies, for whoever watches the server: numbers alone, and no text.

Plain sums on the event loop, which cost a reply next to nothing. `chat.web.metrics` writes them
down when they are asked for.
"""

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from chat.core.shares import Share
from chat.errors import RequestError

#: Why a reply ended: by itself, at its limit, since nobody wanted the rest, by a fault.
Ending = Literal["stop", "length", "abort", "error"]
ENDINGS: tuple[Ending, ...] = ("stop", "length", "abort", "error")

#: Seconds: of a whole reply or until it begins, and of a single token.
LONG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0)
SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Histogram:
    """How many values there were up to each of `bounds`, and above them all; and their sum."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float, times: int = 1) -> None:
        """Count a value, which came so many times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times


class Meter:
    """The sums of one server, since it started; times are in seconds."""

    def __init__(self) -> None:
        self.prompt_tokens = 0
        self.tokens = 0
        self.ended: Counter[Ending] = Counter()
        #: By the name of the error.
        self.refused: Counter[str] = Counter()
        #: Of the oldest turns, which the window had no room for.
        self.dropped_turns = 0
        #: How often what wrote a reply ended, and another went on with it.
        self.resumed = 0
        #: From when a reply was asked for: until its turn came, until its first token, until it
        #: ended by itself.
        self.waited, self.first, self.whole = Histogram(LONG), Histogram(LONG), Histogram(LONG)
        #: Between two tokens of a reply.
        self.between = Histogram(SHORT)
        #: Told of each reply that has ended and was not refused.
        self.watchers: list[Callable[[Measured], None]] = []

    @contextmanager
    def reply(self) -> Iterator["Measured"]:
        """Measure a reply, from here to the end of the block, which says how it ended."""
        measured = Measured(self)
        try:
            yield measured
        except RequestError as error:
            measured.take_back()
            self.refused[type(error).__name__] += 1
            raise
        except Exception:
            measured.ending = "error"
            self._end(measured)
            raise
        except BaseException:  # a closed generator or a cancelled task, which are no faults
            self._end(measured)
            raise
        else:
            self._end(measured)

    def _end(self, measured: "Measured") -> None:
        self.ended[measured.ending] += 1
        if measured.ending in ("stop", "length"):
            self.whole.add(time.monotonic() - measured.asked)
        for watcher in self.watchers:
            watcher(measured)


class Measured:
    """One reply."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.asked = time.monotonic()
        self._first = self._last = 0.0
        self._prompt_tokens = self._tokens = self._resumed = 0
        self.ending: Ending = "abort"
        #: Whose tokens they are.
        self.share = Share()

    def begin(self, prompt_tokens: int, dropped_turns: int = 0) -> None:
        """Its turn has come."""
        self._meter.waited.add(time.monotonic() - self.asked)
        self._prompt_tokens = prompt_tokens
        self._meter.prompt_tokens += prompt_tokens
        self.share.spend(prompt_tokens)
        self._meter.dropped_turns += dropped_turns

    def take_back(self) -> None:
        """It was refused all the same, by a server elsewhere, and so has cost nobody anything."""
        if not self._tokens:
            self.share.spend(-self._prompt_tokens)

    def wrote(self, tokens: int) -> None:
        """So many tokens have come at once; those before it may have been some time ago."""
        if not tokens:
            return
        now = time.monotonic()
        if self._last:
            self._meter.between.add((now - self._last) / tokens, tokens)
        else:
            self._first = now
            self._meter.first.add(now - self.asked)
        self._last = now
        self._tokens += tokens
        self._meter.tokens += tokens
        self.share.spend(tokens)

    def resumed(self) -> None:
        """What wrote it has ended, and another goes on."""
        self._resumed += 1
        self._meter.resumed += 1

    def figures(self) -> dict[str, str | int | float]:
        """Return what is known of it, by the names that OpenTelemetry has where it has some."""
        first = {"fourbit.first_token_seconds": self._first - self.asked} if self._first else {}
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": self._prompt_tokens,
            "gen_ai.usage.output_tokens": self._tokens,
            "fourbit.ending": self.ending,
            "fourbit.resumed": self._resumed,
            **first,
        }
