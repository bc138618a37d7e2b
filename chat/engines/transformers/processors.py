"""What changes the model's scores, until the likeliest token is the one to write."""

from collections.abc import Collection

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from chat.core.sampling import Sampling
from chat.engines.transformers.guide import Compiled
from chat.engines.transformers.sampler import Biases, Penalties, Sampler


class Shortest(MinNewTokensLengthLogitsProcessor):
    """Keeps a reply from ending before its shortest length, unless nothing else fits it."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores, [batch, vocabulary], for what follows `input_ids`, [batch, tokens]."""
        longer: Tensor = super().__call__(input_ids, scores)
        return longer if (longer > -torch.inf).any() else scores


def processors(
    prompt: int,
    sampling: Sampling,
    stop_ids: Collection[int],
    device: torch.device,
    grammar: Compiled | None = None,
    guidance: LogitsProcessor | None = None,
    *,
    drafted: bool = False,
    written: int = 0,
) -> list[LogitsProcessor]:
    """Return what changes the scores, in turn, of a reply to a prompt of so many tokens.

    `guidance` keeps it away from another prompt. See `Sampler` for where it is `drafted`, and
    where so many tokens of it are `written` already.
    """
    found: list[LogitsProcessor] = []
    shortest = []
    if sampling.min_new_tokens:
        given = prompt, sampling.min_new_tokens, sorted(stop_ids), str(device)
        shortest = [Shortest(*given)]
    found += [] if sampling.tied else shortest
    if guidance:
        found.append(guidance)
    if sampling.presence_penalty or sampling.frequency_penalty:
        found.append(Penalties(prompt, sampling.presence_penalty, sampling.frequency_penalty))
    if sampling.logit_bias:
        found.append(Biases(sampling.logit_bias))
    if grammar:
        found += [grammar.processor(prompt), *shortest]
    if not sampling.greedy:
        found.append(Sampler(sampling, device, drafted=drafted, written=written))
    elif sampling.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    return found
