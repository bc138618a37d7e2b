"""The next tokens of many replies, by the same few kernels for all of them.

Each is the one that `Reply.chosen` gives by itself, but where it would have to look at more of the
likeliest tokens than is done here: such a one is unsure.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from chat.engines.batched.reply import Reply
from chat.engines.transformers.sampler import FIRST, Limits, candidates, drawn, penalise

#: In place of an id.
UNSURE = -1
#: For how many tokens more there is room once a text is longer than all before.
ROOM = 1024


class Chooser:
    """Chooses for replies with slots below `slots`, of which it keeps the texts."""

    def __init__(self, slots: int, device: torch.device) -> None:
        self._device = device
        #: The text in each slot, if it is needed, and its first token until the end, which changes
        #: nothing of what is penalised: [slots, tokens].
        self._texts = torch.zeros(slots, 1, dtype=torch.long, device=device)

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
        longest = max(len(reply.ranges[0].ids) for reply in replies)
        new = self._new(replies, longest) if penalised else []
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
        rows, stopped, missing = torch.split(
            packed, [8 * len(replies), 2 * len(stops), 3 * len(new)]
        )
        *limits, number, greedy, penalty, slots = rows.view(8, len(replies), 1)
        if stops:
            row, id = stopped.long().view(-1, 2).unbind(1)
            changed[row, id] = -torch.inf
        if new:
            slot, place, id = missing.long().view(-1, 3).unbind(1)
            self._texts[slot, place] = id
            for reply in replies:
                if reply.job.sampling.repetition_penalty != 1:
                    reply.known = len(reply.ranges[0].ids)
        if penalised:
            penalise(self._texts[slots[:, 0].long(), :longest], changed, penalty.float())
        drawing = [sampling for sampling in samplings if not sampling.greedy]
        if not drawing:
            return changed.argmax(-1)
        count = max(sampling.top_k for sampling in drawing) + FIRST
        whole = any(not sampling.top_k for sampling in drawing)
        shares, ids, unsure = candidates(changed, count, Limits(*limits), whole=whole)
        found = drawn(shares, ids, limits[-1], number).masked_fill(unsure, UNSURE)
        if len(drawing) == len(replies):
            return found
        return torch.where(greedy[:, 0] > 0, changed.argmax(-1), found)

    def _new(self, replies: Sequence[Reply], longest: int) -> list[tuple[int, int, int]]:
        """Return the slots, places and ids that are new in the texts of who is penalised."""
        if (more := longest - self._texts.shape[1]) > 0:
            first = self._texts[:, :1].expand(-1, more + ROOM)
            self._texts = torch.cat([self._texts, first], 1)
        new = []
        for reply in replies:
            ids, slot = reply.ranges[0].ids, reply.slot
            if reply.job.sampling.repetition_penalty != 1:
                if not reply.known:
                    self._texts[slot] = ids[0]
                new += [(slot, place, ids[place]) for place in range(reply.known, len(ids))]
        return new
