"""What goes through the pipe between the server and its process (see `batcher`).

In go a `Plan` and then `Job`s, or the number of one to cancel; out come lists of
`Part`, one list a step. Nothing else of ours is imported on the other side.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

#: Tokens in a block of the KV cache; OpenVINO's own number for CPUs.
BLOCK = 32
#: Most tokens in one step. A long prompt is read in parts of it, between which
#: the others get their next token.
STEP_TOKENS = 256


class Job(NamedTuple):
    """A prompt to continue."""

    number: int
    prompt: list[int]
    #: Arguments of openvino_genai.GenerationConfig, and those of a StructuredOutputConfig in it.
    options: dict[str, Any]

    @property
    def blocks(self) -> int:
        """The most blocks of the KV cache that it can come to need."""
        tokens: int = len(self.prompt) + self.options["max_new_tokens"]
        return -(-tokens // BLOCK) + 1


class Part(NamedTuple):
    """What one step brought one job."""

    number: int
    ids: list[int]
    state: Literal["running", "done", "failed"]
    #: Of the ids, if they were asked for.
    logprobs: Sequence[float] = ()


class Plan(NamedTuple):
    """What to load, and how."""

    #: A folder with openvino_model.xml.
    folder: str
    #: Blocks in the KV cache.
    blocks: int
    #: OpenVINO's properties of a compiled model.
    properties: dict[str, Any]
    #: What to run once before anyone comes, since a first step takes 20 times as long.
    warm_up: Job
