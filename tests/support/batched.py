"""A batcher over a tiny model in this process, and what it is held to."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.batched import loading
from chat.engines.batched.attend import Attention, RowByRow
from chat.engines.batched.batcher import Batcher
from chat.engines.batched.passes import Passes
from chat.engines.batched.pool import PoolCache
from chat.engines.batched.wire import Job
from chat.engines.process import Part
from tests.support import tiny_models
from tests.support.tiny import chatml_tokenizer

VOCABULARY = 128
#: What these models never write, as a stop id.
NEVER = frozenset({VOCABULARY + 1})

#: Tokens of the pool, and of the longest reply here.
TOKENS, LENGTH = 200, 20
TEXT = tuple(3 + (7 * place) % 101 for place in range(60))
SOME = [TEXT[number : number + 5 + 9 * number] for number in range(5)]


def pooled(
    model: PreTrainedModel, tokens: int, attention: Attention | None = None
) -> tuple[Passes, PoolCache]:
    """Return `model` over a pool."""
    pool = PoolCache(loading.tried(model).shapes, tokens, model.dtype, model.device)
    return Passes(model, pool, attention or RowByRow()), pool


def batcher(
    model: PreTrainedModel,
    tokens: int = 1000,
    parallel: int = 4,
    part: int = 16,
    attention: Attention | None = None,
    **options: Any,
) -> Batcher:
    return Batcher(*pooled(model, tokens, attention), parallel, part, **options)


def job(number: int, prompt: Sequence[int], sampling: Sampling, **changes: Any) -> Job:
    return Job(number, prompt, sampling, **{"stop_ids": NEVER, **changes})


class Replies:
    """What a batcher brought so far."""

    def __init__(self, batcher: Batcher) -> None:
        self.batcher = batcher
        self.ids: dict[int, list[int]] = {}
        self.ended: dict[int, Part] = {}

    def step(self) -> list[Part]:
        parts = self.batcher.step()
        for part in parts:
            assert part.number not in self.ended
            self.ids.setdefault(part.number, []).extend(part.ids)
            if part.state != "running":
                self.ended[part.number] = part
        return parts

    def finish(self) -> dict[int, list[int]]:
        """Return all replies, by their numbers, once they have ended."""
        while self.batcher.busy:
            self.step()
        return self.ids


def written(batcher: Batcher, *jobs: Job) -> list[list[int]]:
    """Return the replies to `jobs`, which come at the same time."""
    replies = Replies(batcher)
    for one in jobs:
        batcher.take(one)
    found = replies.finish()
    assert {part.state for part in replies.ended.values()} == {"done"}
    return [found[one.number] for one in jobs]


def tiny(source: Path, cache: Path) -> tuple[Any, PreTrainedModel]:
    """Load the tiny model that other engines are tested with, as a `Plan` has its loader.

    In 64 bits: in a batch sums are rounded elsewhere, and once in a thousand tokens of this model
    two are nearer to each other than 32 bits can tell.
    """
    torch.set_num_threads(1)
    return chatml_tokenizer(), tiny_models.llama().double()


def tied(source: Path, cache: Path) -> tuple[Any, PreTrainedModel]:
    """Load one that writes each token of its tokenizer, as a reply that has to fit needs."""
    torch.set_num_threads(1)
    tokenizer = chatml_tokenizer()
    return tokenizer, tiny_models.llama(vocab_size=len(tokenizer)).double()


def fresh(family: str) -> PreTrainedModel:
    """Return a model of a family, for one batcher alone."""
    return tiny_models.family(family, VOCABULARY)


@cache
def plain(family: str) -> PreTrainedModel:
    """Return a model of a family, to be asked by `model.generate` alone."""
    model = tiny_models.family(family, VOCABULARY)
    model.generation_config = GenerationConfig()
    return model


@cache
def alone(family: str, prompt: tuple[int, ...], tokens: int) -> list[int]:
    """Return what `model.generate` writes greedily to one prompt."""
    ids = torch.tensor([prompt])
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    whole = plain(family).generate(
        ids, attention_mask=torch.ones_like(ids), generation_config=config
    )
    return whole[0, len(prompt) :].tolist()


def flash(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    offsets: Tensor,
    starts: Tensor,
    most_new: int,
    most: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: Tensor,
    num_splits: int,
) -> Tensor:
    """Do what `torch.nn.attention.varlen.varlen_attn` is documented to do, in plain steps.

    Causal from the last token of a range, as FlashAttention is.
    """
    assert num_splits == 1
    assert enable_gqa == (query.shape[1] != keys.shape[1])
    left, right = window_size
    assert right == 0
    sums = []
    for place, length in enumerate(seqused_k.tolist()):
        own = query[offsets[place] : offsets[place + 1]].transpose(0, 1)
        assert own.shape[1] <= most_new
        at = slice(int(starts[place]), int(starts[place]) + length)
        groups = query.shape[1] // keys.shape[1]
        key = keys[at].transpose(0, 1).repeat_interleave(groups, 0)
        value = values[at].transpose(0, 1).repeat_interleave(groups, 0)
        scores = own @ key.transpose(1, 2) * (scale or own.shape[2] ** -0.5)
        here = torch.arange(length - own.shape[1], length)[:, None]
        there = torch.arange(length)
        seen = there <= here
        if left >= 0:
            seen &= there >= here - left
        sums.append((scores.masked_fill(~seen, -torch.inf).softmax(-1) @ value).transpose(0, 1))
    return torch.cat(sums)
