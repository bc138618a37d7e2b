"""Everything that can go wrong, as one small tree.

    ChatError
    ├── SettingsError        a flag or variable has an unusable value
    ├── ModelError           the model cannot be found, fetched or loaded
    │   └── UnfitModel       ... by this engine, which found out late
    ├── RequestError         this request cannot be answered; the next one can
    │   ├── BadRequest       a message or a control has an unusable value
    │   ├── TooLong          a message is larger than the model can read
    │   ├── QueueFull        too many people are waiting
    │   ├── RateLimited      one visitor asks for more than their share
    │   └── Draining         the server is about to end, and begins nothing
    └── EngineError          the model failed while it was working
        ├── OutOfMemory      ... because the conversation did not fit
        └── Broken           ... since what runs it is gone; another may go on

Each is raised where it is known, and its text is one plain sentence (or two)
for the person who caused it: the edges (page, terminal) show it as it is. It
never holds a path that the person did not name, a secret, or their message.
"""

import os
import re
import sys
import traceback
from io import TextIOWrapper

FAILED = "The model failed while it was working on this reply. Please try again."
#: Letters of a sentence about a model.
LONGEST = 1000
#: What is said of what none of our pages sends.
UNREADABLE = "The request could not be read."
#: What the page and the API say of an error that nobody foresaw; the log says where it was.
UNEXPECTED = "Something went wrong on the server. Please try again."


class ChatError(Exception):
    """The root: str() of it may be shown to anyone."""


class SettingsError(ChatError):
    """A flag or an environment variable has an unusable value."""


class ModelError(ChatError):
    """The model cannot be found, fetched or loaded.

    Its text may quote what a model's files say, of which no sign and no length reaches a terminal.
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


class UnfitModel(ModelError):
    """An engine cannot run the model, and another one may; its text is why, part of a sentence."""


class RequestError(ChatError):
    """One request cannot be answered; nothing was generated for it.

    `field` is what of it is to blame, if one thing is: a field of `Sampling`, or the message.
    """

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


class BadRequest(RequestError):
    """A message or a control has an unusable value."""


class TooLong(RequestError):
    """A message is larger than the model can read."""

    def __init__(self, sentence: str, field: str = "message") -> None:
        super().__init__(sentence, field)


class QueueFull(RequestError):
    """Too many people are waiting already."""


class RateLimited(RequestError):
    """One visitor asks for more than their share; there is room again after so many `seconds`."""

    def __init__(self, sentence: str, seconds: float, kind: str = "requests") -> None:
        super().__init__(sentence)
        self.seconds = seconds
        #: What there is too much of, "requests" or "tokens".
        self.kind = kind


class Draining(RequestError):
    """The server is about to end; another one may answer."""

    def __init__(self) -> None:
        super().__init__(
            "The server is being stopped, and begins no new replies. Please try again in a moment."
        )


class EngineError(ChatError):
    """The model failed while it was working."""


class OutOfMemory(EngineError):
    """The model ran out of memory while it was working."""


class Broken(EngineError):
    """What ran the model is gone: a process, a server, a machine; another may go on with it."""

    def __init__(self, sentence: str = FAILED) -> None:
        super().__init__(sentence)


def printable(text: str) -> str:
    """Return a sentence with what files say in it as a terminal may show it."""
    shown = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return "".join(one if one.isprintable() else "\ufffd" for one in shown)


def print_anything() -> None:
    """Have what a stream has no letters for printed as a question mark, and not end the app.

    A stream that was closed before the start takes all, and shows nothing.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def describe(error: BaseException) -> str:
    """Return what the log may say of an unforeseen error: its type and where it happened.

    Not its text, which can quote what someone wrote.
    """
    where = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__} at\n{where}"


#: How libraries say that memory ran out: CUDA's driver and runtime (of which Triton and
#: bitsandbytes pass on the words), cuBLAS and cuDNN by their status, C++, torch's CPU allocator,
#: and the operating system.
NO_MEMORY = re.compile(
    r"out[ _]of[ _](\w+[ _])?memory|alloc(ation)?_failed|MemoryAllocation|bad[_ ]alloc"
    r"|(allocate|enough) memory|(failed|unable) to allocate",
    re.IGNORECASE,
)


def out_of_memory(error: BaseException) -> bool:
    """Whether a library's error means that memory ran out, on the GPU or on the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return bool(NO_MEMORY.search(str(error)))
