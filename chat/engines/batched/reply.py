"""One reply that is being written."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from chat.engines.batched.ranges import Range
from chat.engines.batched.wire import Job
from chat.engines.transformers.guide import Guide
from chat.engines.transformers.processors import processors
from chat.engines.transformers.scores import scored


class Reply:
    """A reply, the ranges of its texts, and what chooses its tokens.

    `ranges` has that of the prompt, and that of the negative prompt if there is one; each gets
    every token of the reply.
    """

    def __init__(
        self, job: Job, ranges: Sequence[Range], device: torch.device, guide: Guide | None
    ) -> None:
        self.job = job
        self.ranges = ranges
        self.written = len(job.written)
        #: The scores for the next token by each of its texts, [vocabulary], once they are there.
        self.scores: dict[Range, Tensor] = {}
        self._guidance = _Guidance(job.sampling.guidance_scale) if job.negative else None
        self._changes = processors(
            len(job.prompt),
            job.sampling,
            job.stop_ids,
            device,
            guide,
            self._guidance,
            written=self.written,
        )
        #: The text as the processors, if there are any, want it: [1, tokens], with room for all.
        room = ranges[0].size if self._changes else 0
        self._text = torch.zeros(1, room, dtype=torch.long, device=device)
        if self._changes:
            ids = ranges[0].ids
            self._text[0, : len(ids)] = torch.tensor(ids, device=device)

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

    def chosen(self, scores: Tensor, against: Tensor | None) -> Tensor:
        """Return the id that follows, [1]; `scores` is [vocabulary], as of the negative prompt."""
        if not self._changes:
            return scores.argmax(-1, keepdim=True)
        if self._guidance and against is not None:
            self._guidance.against = against
        changed, text = scores[None].clone(), self._text[:, : len(self.ranges[0].ids)]
        for change in self._changes:
            changed = change(text, changed)
        return changed.argmax(-1)

    def take(self, id: int, scores: Tensor) -> int:
        """Go on with the id that was chosen by these scores, and return it as it is given."""
        if self._changes:
            self._text[0, len(self.ranges[0].ids)] = id
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
