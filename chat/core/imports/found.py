"""A conversation as it was found in a file of some program, before its messages are read."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chat.core.export import Fork


class Found(NamedTuple):
    """All but the list of messages may be anything."""

    messages: list[Any]
    title: Any = None
    #: When it was changed last.
    time: Any = None
    #: The system prompt, where it does not stand among the messages.
    system: Any = None
    #: Where it goes on in several ways, if the program is this one.
    forks: Sequence[Fork] = ()
