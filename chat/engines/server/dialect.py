"""What a kind of server has to have: how a reply is asked of it, and how its events are read.

What a server does not know it ignores in silence, so what each obeys is written down with it. All
controls are sent each time: vLLM takes what the model's authors have set for those that are not.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from chat.core.sampling import Sampling

Body = dict[str, Any]

#: The largest id that libraries take.
LARGEST = 2**31 - 1


class Asked(NamedTuple):
    """A reply to ask a server for."""

    model: str
    prompt: Sequence[int]
    sampling: Sampling
    stop_ids: Collection[int]
    #: The prompt to keep away from, if there is one.
    negative: Sequence[int] = ()


class Said(NamedTuple):
    """What an event says."""

    ids: list[int]
    #: Whether these were the last ones.
    ended: bool
    #: How much of the prompt lay in the server's prefix cache, where it says so.
    cached: int | None = None


class Dialect(Protocol):
    """One kind of server."""

    #: Its name, for people.
    title: str
    #: Where replies are asked for.
    path: str
    #: Whether it gives a sign of life every second, while it reads a prompt too.
    beats: bool
    #: Which of `chat.core.sampling.OPTIONAL` it obeys.
    supports: frozenset[str]

    def check(self, sampling: Sampling) -> None:
        """Raise BadRequest for controls that it obeys, but not together."""
        ...

    def parts(self, sampling: Sampling) -> list[Sampling]:
        """Return the controls of the requests for one reply, each of which goes on with it."""
        ...

    def body(self, asked: Asked) -> Body:
        """Return the JSON of a request."""
        ...

    def reader(self, sampling: Sampling) -> Callable[[Mapping[str, Any]], Said]:
        """Return what reads the events of one answer, in their order.

        It raises Broken, KeyError, TypeError or ValueError where there is no sense in them.
        """
        ...


def drawing(sampling: Sampling) -> Body:
    """Return how a token is drawn, in names that all kinds of servers have."""
    if sampling.greedy:
        return {"temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0}
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
    }


def count(value: Any) -> int | None:
    """Return a number of tokens as a server gives it, or None if it is none."""
    return value if type(value) is int and value >= 0 else None


def token_ids(value: Any) -> list[int]:
    """Return a list of ids as a server gives it.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, list):
        raise TypeError
    return [token_id(id) for id in value]


def token_id(value: Any) -> int:
    """Return an id that a tokenizer takes, whether or not it knows it.

    Raises:
        TypeError: it is none.
    """
    if type(value) is not int or not 0 <= value <= LARGEST:
        raise TypeError
    return value
