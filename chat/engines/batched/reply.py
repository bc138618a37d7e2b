"""One reply that is being written."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    MinNewTokensLengthLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
)

from chat.engines.batched.ranges import Range
from chat.engines.batched.wire import Job
from chat.engines.transformers.guide import Compiled
from chat.engines.transformers.processors import processors
from chat.engines.transformers.sampler import Sampler
from chat.engines.transformers.scores import scored

#: What `choose` does for many replies at once.
USUAL = (MinNewTokensLengthLogitsProcessor, Sampler, RepetitionPenaltyLogitsProcessor)


class Reply:
    """A reply, the ranges of its texts, and what chooses its tokens.

    `ranges` has that of the prompt, and that of the negative prompt if there is one; each gets
    every token of the reply. No other reply that is being written has its `slot`.
    """

    def __init__(
        self,
        job: Job,
        ranges: Sequence[Range],
        device: torch.device,
        grammar: Compiled | None = None,
        slot: int = 0,
    ) -> None:
        self.job = job
        self.ranges = ranges
        self.slot = slot
        #: How many tokens of its text `choose` has.
        self.known = 0
        self.written = len(job.written)
        #: The scores for the next token by each of its texts, [vocabulary], once they are there.
        self.scores: dict[Range, Tensor] = {}
        self._guidance = _Guidance(job.sampling.guidance_scale) if job.negative else None
        self._changes = processors(
            len(job.prompt),
            job.sampling,
            job.stop_ids,
            device,
            grammar,
            self._guidance,
            drafted=True,  # it may be asked for the same place by `choose` and then here
            written=self.written,
        )
        self._sampler = next((one for one in self._changes if isinstance(one, Sampler)), None)
        #: The text as the processors, if there are any, want it: [1, tokens], with room for all;
        #: and how many tokens are there.
        room = ranges[0].size if self._changes else 0
        self._text = torch.zeros(1, room, dtype=torch.long, device=device)
        self._copied = 0

    @property
    def ended(self) -> bool:
        """Whether the last token is the last one."""
        last = self.ranges[0].ids[-1]
        return self.written >= self.job.sampling.max_new_tokens or (
            self.written > 0 and last in self.job.stop_ids
        )

    @property
    def left(self) -> int:
        """How many tokens it may still get."""
        return self.job.sampling.max_new_tokens - self.written

    @property
    def usual(self) -> bool:
        """Whether no more is asked of its tokens than `choose` does for many at once."""
        sampling = self.job.sampling
        limited = sampling.greedy or sampling.top_k > 0 or sampling.top_p < 1
        return limited and all(isinstance(change, USUAL) for change in self._changes)

    @property
    def number(self) -> float:
        """The random number of the next token, which 0 is for one that is not drawn."""
        return self._sampler.number(len(self.ranges[0].ids)) if self._sampler else 0.0

    def chosen(self, scores: Tensor, against: Tensor | None) -> Tensor:
        """Return the id that follows, [1]; `scores` is [vocabulary], as of the negative prompt."""
        if not self._changes:
            return scores.argmax(-1, keepdim=True)
        if self._guidance and against is not None:
            self._guidance.against = against
        ids, changed = self.ranges[0].ids, scores[None].clone()
        missing = torch.tensor(ids[self._copied :], device=self._text.device)
        self._text[0, self._copied : len(ids)] = missing
        self._copied = len(ids)
        for change in self._changes:
            changed = change(self._text[:, : len(ids)], changed)
        return changed.argmax(-1)

    def take(self, id: int, scores: Tensor) -> int:
        """Go on with the id that was chosen by these scores, and return it as it is given."""
        for one in self.ranges:
            one.ids.append(id)
        self.written += 1
        sampling = self.job.sampling
        return scored(scores, id, sampling.top_logprobs) if sampling.logprobs else id


class _Guidance(LogitsProcessor):
    """Classifier-free guidance (Sanchez et al., 2023): away from another prompt's scores."""

    against: Tensor

    def __init__(self, scale: float) -> None:
        self._scale = scale

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores ([1, vocabulary]) that are so far away."""
        other = self.against[None].log_softmax(-1)
        return self._scale * (scores.log_softmax(-1) - other) + other
