"""Chats without a model: real tokenizers and formats, and an engine that takes notes."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple

from benchmarks.gpu.checkpoints import tokenizer as made
from chat.core.chat import Chat
from chat.core.engine import Scored, State
from chat.core.gate import Gate
from chat.core.sampling import OPTIONAL, Sampling
from chat.load import prompting
from chat.models import embedded, ir
from chat.settings import Settings
from prompts import FORMATS, control_tokens

#: The control tokens of all formats, and those of thoughts, in one tokenizer.
CONTROLS = (
    *("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|begin_of_text|>", "<|start_header_id|>"),
    *("<|end_header_id|>", "<|eot_id|>", "[gMASK]", "sop", "<sop>", "<eop>", "<|system|>"),
    *("<|user|>", "<|assistant|>", "<|observation|>"),
)
THOUGHTS = ("<think>", "</think>")


class Notes:
    """An engine that notes what it is asked for, and answers with the end of that."""

    parallel = 8
    window = 2048
    supports = frozenset(OPTIONAL)
    state: State = "ready"

    def __init__(self, stop_ids: set[int]) -> None:
        self.stop_ids = frozenset(stop_ids)
        #: The prompts of the last request.
        self.prompts: list[Sequence[int]] = []

    async def admit(self, sampling: Sampling) -> None:
        """See `Engine.admit`."""

    async def generate(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        negative: Sequence[int] = (),
        session: str = "",
    ) -> AsyncGenerator[list[int]]:
        """See `Engine.generate`."""
        self.prompts.append(prompt)
        ids = [*prompt[-min(6, sampling.max_new_tokens) :], min(self.stop_ids)]
        for id in ids[: sampling.max_new_tokens]:
            yield [Scored(id, -1.0)] if sampling.logprobs else [id]

    def close(self) -> None:
        """See `Engine.close`."""


class Subject(NamedTuple):
    """Who is sent inputs."""

    chat: Chat
    engine: Notes
    #: The ids of control tokens, which nothing that people write may become.
    controls: frozenset[int]


def subjects() -> dict[str, Subject]:
    """Return one for each format, and one with the embedded model's tokenizer, if it is here."""
    every = made(400)
    every.add_special_tokens({"additional_special_tokens": [*CONTROLS]})
    thinking = made(400)
    thinking.add_special_tokens({"additional_special_tokens": [*CONTROLS, *THOUGHTS]})
    found = {name: _subject(every, name) for name in FORMATS}
    found["chatml that thinks"] = _subject(thinking, "chatml")
    if own := _embedded():
        found["the embedded model"] = _subject(own, "auto")
    return found


def _subject(tokenizer: Any, format: str) -> Subject:
    chosen, plain, tokens, tooled = prompting(Settings(prompt_format=format), tokenizer)
    engine = Notes(tokens.stop_ids(chosen.stop))
    chat = Chat(engine, tokens, chosen, Gate(engine.parallel, 32), plain, tooled=tooled)
    controls = map(tokenizer.convert_tokens_to_ids, control_tokens(tokenizer))
    return Subject(chat, engine, frozenset(controls))


def _embedded() -> Any:
    """Return the embedded model's tokenizer, if that has been converted on this machine."""
    from transformers import PreTrainedTokenizerFast

    cache = Settings().cache_dir
    file = embedded.path(cache)
    if not file.exists() or not (folder := ir.place(file, cache)).exists():
        return None
    return PreTrainedTokenizerFast.from_pretrained(folder)
