"""What the app knows of an engine before it is loaded.

Each engine's package has a module `entry` with one of these, which imports the
rest of it, torch for one, when the engine is loaded.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from chat.core.engine import Engine


class Loaded(NamedTuple):
    """A model that is in memory."""

    #: Of transformers.
    tokenizer: Any
    #: Starts the engine, given the ids that end a reply.
    start: Callable[[Iterable[int]], Engine]
    #: What its authors have set for generation, as transformers' GenerationConfig names it.
    generation: Mapping[str, Any]


class Outlook(NamedTuple):
    """What a model would take, known before it is loaded."""

    #: Of transformers.
    tokenizer: Any
    #: What is done with its weights.
    weights: str
    #: Bytes of memory while it is converted or loaded, those that are free, and of which memory.
    memory: float
    free_memory: float
    kind_of_memory: str
    #: Bytes of disk space for a conversion.
    disk: float
    #: Most tokens of prompt and reply.
    window: int
    #: How many replies can be written at once.
    parallel: int


@dataclass(frozen=True)
class Entry:
    """One engine."""

    #: Its name as sentences have it.
    title: str
    #: When `auto` takes it, for `--help`.
    description: str
    #: Where `auto` takes it, if it can run the model: with a CUDA GPU, without one.
    hardware: tuple[Literal["cpu", "cuda"], ...]
    #: The settings that are its own.
    options: type[BaseModel]
    #: Given a folder or GGUF file and the cache, returns why the engine cannot run
    #: it, as part of a sentence; raises ModelError if nothing can.
    refusal: Callable[[Path, Path], str | None]
    #: The sentence for whom it is refused, with `{reason}`.
    refused: str
    #: Given the same, the most tokens of prompt and reply, and the options; raises
    #: ModelError if the files cannot be used, or the memory does not suffice.
    load: Callable[[Path, Path, int, Any], Loaded]
    #: Given the same, and files whose weights may be holes, says what `load` would take;
    #: raises ModelError where that would for want of anything but memory and disk space.
    outlook: Callable[[Path, Path, int, Any], Outlook]
