"""What the app knows of an engine before it is loaded.

Each engine's package has a module `entry` with one of these, which imports the
rest of it, torch for one, when the engine is loaded.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, field_validator

from chat.core.engine import Engine
from chat.core.sampling import Whole
from chat.engines.watchdog import LEAST
from chat.errors import ModelError
from chat.models import adapters


class EngineOptions(BaseModel):
    """How a model is run, and what is loaded beside it, with an engine that can."""

    watchdog: Whole = Field(
        int(LEAST),
        ge=0,
        le=86_400,
        description="after how many seconds without a step an engine with work to do is taken for "
        "hung, and started anew or, with transformers, ended with the app; several times its "
        "longest step, if that is more; 0 is never",
    )
    threads: Annotated[Whole, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        "auto",
        description="with how many threads the model computes on a CPU; auto is all: where a "
        "machine runs several models, give each its share",
    )
    tune: bool | None = Field(
        None,
        description="with OpenVINO, find the fastest settings for this machine and model anew "
        "(10 seconds); unless set that is done once, and with --no-tune its own are taken",
    )
    adapter: str = Field(
        "",
        description="LoRA adapters of the model, the default one first and more after commas: "
        "folders or hub ids, or tales=some/folder to call one tales; none is the model as it is",
    )
    assistant_model: str = Field(
        "",
        description="a smaller model with the same vocabulary, named as --model is, that drafts "
        "what the model then checks: the same replies, sooner where the model is large",
    )
    prompt_lookup: Whole = Field(
        0,
        ge=0,
        le=64,
        description="how many tokens at a time are guessed from the text so far: faster where "
        "replies repeat their prompt; with OpenVINO, greedy replies of one person at a time; 0 is "
        "off",
    )

    @field_validator("adapter")
    @classmethod
    def _list(cls, text: str) -> str:
        adapters.parse(text)
        return text


class ManyOptions(EngineOptions):
    """Besides, how many are answered at once, with an engine that can."""

    parallel: Annotated[Whole, Field(ge=1, le=64)] | Literal["auto"] = Field(
        "auto",
        description="how many people are answered at once; more wait; auto is 64 with a "
        "server, or as many as the slots of llama.cpp's, and else as many as the memory has room "
        "for, 16 at most, and 8 at least with OpenVINO",
    )


class Loaded(NamedTuple):
    """A model that is in memory, or on its way there."""

    #: Of transformers.
    tokenizer: Any
    #: Starts the engine, given the ids that end a reply.
    start: Callable[[Iterable[int]], Engine]
    #: What its authors have set for generation, as transformers' GenerationConfig names it.
    generation: Mapping[str, Any]
    #: By what the model can be changed, the default one first (see `chat.models.adapters`).
    adapters: tuple[str, ...] = ()
    #: Gives back what it takes, if it is not started.
    close: Callable[[], None] = lambda: None


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
    #: Bytes that its weights take of that memory, about, once it is loaded.
    size: float = 0
    #: How many tokens of conversations, in all, the KV cache has room for beside them, about,
    #: and the bytes that each takes; 0 if it is not known.
    cache_tokens: int = 0
    token_bytes: int = 0
    #: How many GPUs it is divided among, each of which has some of its layers.
    gpus: int = 0
    #: With which settings it runs, where there is a choice.
    settings: str = ""


@dataclass(frozen=True)
class Entry:
    """One engine."""

    #: Its name as sentences have it.
    title: str
    #: When `auto` takes it, for `--help`.
    description: str
    #: Where `auto` takes it, if it can run the model: with a CUDA GPU, without one.
    hardware: tuple[Literal["cpu", "cuda"], ...]
    #: The settings that it takes.
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
    #: raises ModelError where that would for want of anything but disk space and the memory that
    #: it says.
    outlook: Callable[[Path, Path, int, Any], Outlook]
    #: Given a model's name, the cache and the options, returns its name, which is not `auto`, and
    #: the folder or file that the engine needs of it, if it needs no weights.
    find: Callable[[str, Path, Any], tuple[str, Path]] | None = None


def tell_of_room(parallel: int, tokens: int, size: float) -> None:
    """Print how many are answered at once, with a KV cache of so many tokens and bytes."""
    if parallel > 1:
        print(
            f"Up to {parallel} people are answered at once; the KV cache holds {tokens:,} tokens "
            f"({size / 1e9:.1f} GB)",
            flush=True,
        )


def same_vocabulary(tokenizer: Any, assistant: Any) -> None:
    """Raise ModelError if an assistant model has other tokens, or other ids for them."""
    if tokenizer.get_vocab() != assistant.get_vocab():
        raise ModelError(
            "The assistant model has another vocabulary than the model; choose one of the same "
            "family with --assistant-model."
        )
