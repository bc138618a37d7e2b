"""Replies that must match a pattern or a JSON schema, for the transformers engine.

llguidance (Microsoft, 2024) says at each token which ids can still lead to a
match; all others lose.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import torch
from llguidance import LLMatcher, LLParserLimits
from llguidance.hf import from_tokenizer
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from torch import Tensor
from torch.nn.functional import embedding
from transformers import LogitsProcessor

from chat.core.sampling import Sampling
from chat.core.schema.judge import SPACES
from chat.engines.grammars import too_much
from chat.errors import EngineError

#: What one grammar may take: llguidance's own limits of work for each token, which come to some
#: hundredths of a second, and a fifth of its number of states, of a kilobyte each.
LIMITS = LLParserLimits(step_lexer_fuel=200_000, step_max_items=50_000, max_lexer_states=50_000)


class Guide:
    """Makes the processors; for one tokenizer, since reading its vocabulary takes a while."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        """Take `vocabulary` from the model: how many scores it gives for the next token."""
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary

    @cached_property
    def _texts(self) -> Any:
        """The texts of the vocabulary, read when the first reply is tied down."""
        return from_tokenizer(self._tokenizer, n_vocab=self._vocabulary)

    def read(self) -> None:
        """Read the vocabulary now, if it can be, while nobody waits."""
        with suppress(Exception):  # which says so again to whoever needs it
            _ = self._texts

    def compiled(self, sampling: Sampling) -> "Compiled":
        """Compile `sampling.pattern` or `sampling.schema_to_fit` for one reply.

        That leaves other threads the interpreter's lock.

        Raises:
            EngineError: it is too much for llguidance.
        """
        if sampling.pattern:
            grammar = LLMatcher.grammar_from_regex(sampling.pattern)
        else:
            grammar = LLMatcher.grammar_from_json_schema(
                sampling.schema_to_fit,
                overrides=SPACES,  # type: ignore[arg-type]
            )
        matcher = LLMatcher(self._texts, grammar, log_level=0, limits=LIMITS)
        mask = allocate_token_bitmask(1, self._vocabulary)
        fill_next_token_bitmask(matcher, mask)  # the most of the work, and so a part of it
        if matcher.is_error():
            raise EngineError(str(too_much(sampling)))
        return Compiled(matcher, mask)


@dataclass(frozen=True)
class Compiled:
    """A grammar for one reply."""

    matcher: LLMatcher
    mask: Any

    def processor(self, prompt: int) -> LogitsProcessor:
        """Return what holds the reply to it, which begins after so many tokens of the prompt."""
        return _GrammarProcessor(self.matcher, self.mask, prompt)


class _GrammarProcessor(LogitsProcessor):
    def __init__(self, matcher: LLMatcher, mask: Any, prompt: int) -> None:
        self._matcher = matcher
        self._mask = mask
        self._read = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary]), minus infinity where no match could follow.

        `input_ids` ([1, tokens]) is the text so far.

        Raises:
            EngineError: the grammar has grown beyond llguidance's own limits.
        """
        for id in input_ids[0, self._read :].tolist():
            self._matcher.consume_token(id)
        self._read = input_ids.shape[1]
        fill_next_token_bitmask(self._matcher, self._mask)
        if self._matcher.is_error():  # it would let the reply end here, whether it fits or not
            raise EngineError("The reply could not be kept to what it has to fit.")
        apply_mask(scores, torch.from_numpy(self._mask))
        return scores


def apply_mask(scores: Tensor, mask: Tensor) -> None:
    """Make scores minus infinity, in place, where their bits in `mask` are not set.

    `scores` is [rows, vocabulary]; `mask` is [rows, words], whole numbers of 32 bits as
    llguidance fills them, the lowest bit first; ids beyond its last bit have none set.
    """
    # llguidance.torch has this for torch.compile: half a minute, and a C compiler, at first use.
    eights = mask.to(scores.device).view(torch.uint8).int()
    most = embedding(eights, _bounds(scores.dtype, scores.device)).flatten(1)
    known = scores[:, : most.shape[1]]
    known.clamp_(max=most[:, : known.shape[1]])
    scores[:, most.shape[1] :] = -torch.inf


@cache
def _bounds(dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return what the bits of each byte let scores be at most, [256, 8]."""
    bits = torch.arange(256)[:, None] >> torch.arange(8) & 1
    return torch.where(bits == 1, torch.inf, -torch.inf).to(device, dtype)
