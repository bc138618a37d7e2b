"""What goes through the pipes between the server and its processes.

Into a `batcher` go a `Plan` and then `Job`s, or the number of one to cancel; out come lists of
`chat.engines.process.Part`. Little else of ours is imported on the other side. The others are
`trial` and `tuner`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

#: Tokens in a block of the KV cache; OpenVINO's own number for CPUs.
BLOCK = 32
#: Most tokens in one step. A long prompt is read in parts of it, between which
#: the others get their next token.
STEP_TOKENS = 256
#: Most memory for the grammars that a process has compiled, and keeps; then all are let go.
GRAMMAR_BYTES = 64 << 20

#: How much longer than its CPU time a trial may take, on a machine that is busy.
PATIENCE = 5


class Job(NamedTuple):
    """A prompt to continue."""

    number: int
    prompt: list[int]
    #: Arguments of openvino_genai.GenerationConfig, and those of a StructuredOutputConfig in it.
    options: dict[str, Any]
    #: What the grammar among them takes once it is compiled.
    grammar_bytes: int = 0
    #: The name of the adapter that the model is to have.
    adapter: str = ""
    #: More such arguments, if tokens may be drafted for it.
    drafting: Mapping[str, Any] = {}

    @property
    def ties(self) -> dict[str, str]:
        """What the reply is held to."""
        ties: dict[str, str] = self.options.get("structured_output_config", {})
        return ties

    @property
    def blocks(self) -> int:
        """The most blocks of the KV cache that it can come to need."""
        tokens: int = len(self.prompt) + self.options["max_new_tokens"]
        return -(-tokens // BLOCK) + 1


class Applied(NamedTuple):
    """An adapter as OpenVINO takes it."""

    #: Its safetensors file.
    file: str
    #: By what its matrices are multiplied.
    scale: float


class Plan(NamedTuple):
    """What to load, and how."""

    #: A folder with openvino_model.xml.
    folder: str
    #: Blocks in the KV cache.
    blocks: int
    #: OpenVINO's properties of a compiled model.
    properties: dict[str, Any]
    #: What to run once before anyone comes, since the first steps take 20 times as long.
    warm_up: Job
    #: For how many tokens it gives scores; 0 if no reply can be held to a grammar.
    vocabulary: int = 0
    #: What the model is changed by, by names; None is the model as it is.
    adapters: Mapping[str, Applied | None] = {"": None}
    #: OpenVINO's properties for drafting, or the folder of a model that drafts; else nobody does.
    drafting: Mapping[str, Any] = {}
    #: Blocks in the KV cache of a pipeline that drafts.
    drafting_blocks: int = 0


class Tries(NamedTuple):
    """What settings are to be tried for (see `tuner`)."""

    folder: str
    #: OpenVINO's properties that are not to be chosen.
    fixed: Mapping[str, Any]
    #: How many cores there are.
    cores: int
    #: Seconds after which no more settings are begun to be tried.
    loading: float


#: How often each of the settings is tried.
ROUNDS = 3


class Timed(NamedTuple):
    """What came of one of the settings in one round."""

    place: int
    #: Tokens a second of one reply, and of all those that are written at once.
    one: float
    many: float
    #: The ids of those replies, with their log-probabilities.
    replies: list[list[tuple[int, float]]]


class Trials(NamedTuple):
    """What grammars are tried for, and how much one may take (see `judge.Judge`)."""

    folder: str
    vocabulary: int
    compiling: float
    writing: float
    bytes: int
