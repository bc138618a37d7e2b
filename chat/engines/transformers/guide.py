"""Replies that must match a pattern or a JSON schema, for the transformers engine.

llguidance (Microsoft, 2024) says at each token which ids can still lead to a
match; all others lose.
"""

from functools import cached_property
from typing import Any

from llguidance import LLMatcher
from llguidance.hf import from_tokenizer
from llguidance.torch import (
    allocate_token_bitmask,
    apply_token_bitmask_inplace,
    fill_next_token_bitmask,
)
from torch import Tensor
from transformers import LogitsProcessor

from chat.core.sampling import Sampling
from chat.core.schema.judge import SPACES
from chat.errors import EngineError


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

    def processor(self, sampling: Sampling, prompt: int) -> LogitsProcessor:
        """Return what holds one reply to `sampling.pattern` or `sampling.schema_to_fit`.

        It begins after so many tokens of the `prompt`.
        """
        if sampling.pattern:
            grammar = LLMatcher.grammar_from_regex(sampling.pattern)
        else:
            grammar = LLMatcher.grammar_from_json_schema(
                sampling.schema_to_fit,
                overrides=SPACES,  # type: ignore[arg-type]
            )
        return _GrammarProcessor(LLMatcher(self._texts, grammar), self._vocabulary, prompt)


class _GrammarProcessor(LogitsProcessor):
    def __init__(self, matcher: LLMatcher, vocabulary: int, prompt: int) -> None:
        self._matcher = matcher
        self._mask = allocate_token_bitmask(1, vocabulary)
        self._read = prompt

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return `scores` ([1, vocabulary]), minus infinity where no match could follow.

        `input_ids` ([1, tokens]) is the text so far. The mask holds a bit for each id,
        [1, vocabulary / 32] in whole numbers of 32 bits.

        Raises:
            EngineError: the grammar has grown beyond llguidance's own limits.
        """
        for id in input_ids[0, self._read :].tolist():
            self._matcher.consume_token(id)
        self._read = input_ids.shape[1]
        fill_next_token_bitmask(self._matcher, self._mask)
        if self._matcher.is_error():  # it would let the reply end here, whether it fits or not
            raise EngineError("The reply could not be kept to what it has to fit.")
        apply_token_bitmask_inplace(scores, self._mask.to(scores.device))
        return scores
