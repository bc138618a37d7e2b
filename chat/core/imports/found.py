"""A conversation as it was found in a file of some program, before its messages are read."""

from typing import Any, NamedTuple

from chat.core.export import Exported


class Found(NamedTuple):
    """All but the list of messages may be anything."""

    messages: list[Any]
    title: Any = None
    #: When it was changed last.
    time: Any = None
    #: The system prompt, where it does not stand among the messages.
    system: Any = None
    #: The same as it was read, if the program is this one.
    ours: Exported | None = None
