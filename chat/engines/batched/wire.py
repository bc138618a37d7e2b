"""What goes through the pipe between the server and its process (see `chat.engines.process`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from chat.core.sampling import Sampling


class Plan(NamedTuple):
    """What to load, and how."""

    #: A folder or GGUF file, and the cache.
    source: Path
    cache: Path
    #: Most tokens of a prompt and its reply.
    window: int
    #: Most replies at once.
    parallel: int | Literal["auto"] = "auto"
    #: As `--adapter` has them.
    adapter: str = ""
    #: A model that drafts, if there is one.
    assistant: Path | None = None
    #: Else how many tokens at a time are guessed from the text so far.
    prompt_lookup: int = 0
    #: With how many threads it computes on a CPU.
    threads: int | Literal["auto"] = "auto"
    #: Most tokens that the pool may have room for, if the memory has more.
    tokens: int | None = None
    #: What loads the model and its tokenizer, given `source` and `cache`.
    loader: str = "chat.models.quantize:tokenizer_and_model"


class Ready(NamedTuple):
    """What there is, once it is loaded."""

    #: Of transformers.
    tokenizer: Any
    #: What its authors have set for generation, and the ids that end a reply for them.
    generation: Mapping[str, Any]
    stop_ids: frozenset[int]
    #: Most tokens of a prompt and its reply, and replies at once.
    window: int
    parallel: int
    #: By what the model can be changed, the default one first.
    adapters: tuple[str, ...]
    #: How many tokens the pool has room for, and the bytes that it takes.
    pool_tokens: int
    pool_bytes: int
    #: How it attends, and for how many replies at once a step is a CUDA graph.
    attention: str
    graphs: tuple[int, ...] = ()


class Job(NamedTuple):
    """A prompt to continue."""

    number: int
    prompt: Sequence[int]
    sampling: Sampling
    #: The ids that end the reply.
    stop_ids: frozenset[int]
    #: The prompt to keep away from, if it has any ids.
    negative: Sequence[int] = ()
    #: What is written of the reply already.
    written: Sequence[int] = ()
