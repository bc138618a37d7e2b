"""The next tokens of many replies, by the same few kernels for all of them.

Each is the one that `Reply.chosen` gives by itself, but where it would have to look at more of the
likeliest tokens than is done here: such a one is unsure.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chat.engines.batched.reply import Reply
from chat.engines.transformers.sampler import FIRST, Limits, candidates, drawn

#: In place of an id.
UNSURE = -1


class Chooser:
    """Chooses for replies with slots below `slots`, and knows which tokens their texts have."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self._slots = slots
        self._device = device
        #: Which tokens the text in each slot has, [slots, vocabulary], once they are needed.
        self._seen = torch.zeros(slots, 0, dtype=torch.bool, device=device)

    @torch.inference_mode()
    def choose(self, replies: Sequence[Reply], scores: Sequence[Tensor]) -> Tensor:
        """Return the ids that follow in `usual` replies, or `UNSURE`, [replies].

        `scores` has [vocabulary] for each, in 32 bits. Nothing here waits for the device.
        """
        changed = torch.stack(list(scores))
        vocabulary = changed.shape[1]
        samplings = [reply.job.sampling for reply in replies]
        stops = [
            (row, id)
            for row, reply in enumerate(replies)
            if reply.written < samplings[row].min_new_tokens
            for id in reply.job.stop_ids
            if id < vocabulary
        ]
        penalised = any(sampling.repetition_penalty != 1 for sampling in samplings)
        new = self._unmarked(replies, vocabulary) if penalised else []
        numbers = [
            (
                1.0 if sampling.greedy else sampling.temperature,
                sampling.top_k,
                sampling.top_p,
                sampling.min_p,
                reply.number,
                sampling.greedy,
                sampling.repetition_penalty,
                reply.slot,
            )
            for reply, sampling in zip(replies, samplings, strict=True)
        ]
        flat = [number for row in (*zip(*numbers, strict=True), *stops, *new) for number in row]
        # All in one piece; ids are whole in 64 bits, too.
        packed = torch.tensor(flat, dtype=torch.float64).to(self._device, non_blocking=True)
        rows, stopped, marked = torch.split(
            packed, [8 * len(replies), 2 * len(stops), 2 * len(new)]
        )
        *limits, number, greedy, penalty, slots = rows.view(8, len(replies), 1)
        if stops:
            row, id = stopped.long().view(-1, 2).unbind(1)
            changed[row, id] = -torch.inf
        if new:
            slot, id = marked.long().view(-1, 2).unbind(1)
            self._seen[slot, id] = True
            for reply in replies:
                if reply.job.sampling.repetition_penalty != 1:
                    reply.marked = len(reply.ranges[0].ids)
        if penalised:
            penalty = penalty.float()
            less = torch.where(changed < 0, changed * penalty, changed / penalty)
            changed = torch.where(self._seen[slots[:, 0].long()], less, changed)
        likeliest = changed.argmax(-1)
        if all(sampling.greedy for sampling in samplings):
            return likeliest
        drawing = [sampling for sampling in samplings if not sampling.greedy]
        count = max(sampling.top_k for sampling in drawing) + FIRST
        whole = any(not sampling.top_k for sampling in drawing)
        shares, ids, unsure = candidates(changed, count, Limits(*limits), whole=whole)
        found = drawn(shares, ids, limits[-1], number).masked_fill(unsure, UNSURE)
        return torch.where(greedy[:, 0] > 0, likeliest, found)

    def _unmarked(self, replies: Sequence[Reply], vocabulary: int) -> list[tuple[int, int]]:
        """Return the slots and ids that are new in the texts of those that are penalised."""
        if not self._seen.shape[1]:
            self._seen = self._seen.new_zeros(self._slots, vocabulary)
        new = []
        for reply in replies:
            if reply.job.sampling.repetition_penalty != 1:
                if not reply.marked:
                    self._seen[reply.slot] = False  # of the reply before it
                new += [(reply.slot, id) for id in reply.ranges[0].ids[reply.marked :]]
        return new
