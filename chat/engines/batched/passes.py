"""Forward passes of the model over the new tokens of many ranges, one after another in a row.

The model's code is transformers' own: `PoolCache.update` writes what is new into the pool, and
an attention that transformers knows by a name of ours reads from there.
"""

from collections.abc import Sequence
from itertools import accumulate, count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from chat.engines.batched.attend import Attention, Layout, Segment
from chat.engines.batched.pool import PoolCache
from chat.engines.batched.ranges import Range
from chat.engines.transformers.ready import require_ids
from chat.models import cards

_NUMBERS = count()


class New(NamedTuple):
    """What a range gets in a pass."""

    range: Range
    ids: Sequence[int]
    #: Of how many of them, the last ones, the scores are wanted.
    scores: int


class Passes:
    """Runs `model` over the pool."""

    def __init__(self, model: PreTrainedModel, pool: PoolCache, attention: Attention) -> None:
        self._model: Any = model
        self._pool = pool
        self.attention = attention
        self._name = f"fourbit_pool_{next(_NUMBERS)}"
        AttentionInterface.register(self._name, self._attend)
        model.set_attn_implementation(self._name)  # no mask has this name, so none is made

    @torch.inference_mode()
    def run(self, news: Sequence[New]) -> Tensor:
        """Read what is new, and return the scores that are wanted, [scores, vocabulary].

        They are in 32 bits. What the ranges have, and how much of it, is left to the caller.

        Raises:
            NotImplementedError: the model attends in a way that is not known here.
            RuntimeError: the memory ran out, or the device failed.
        """
        sizes = Sizes(sum(len(new.ids) for new in news), len(news), sum(new.scores for new in news))
        segments = [Segment(new.range.start, new.range.length, len(new.ids)) for new in news]
        packed = torch.tensor(pack(news), device=self._pool.device)
        return self.forward(packed, sizes, segments)

    def forward(self, packed: Tensor, sizes: "Sizes", segments: Sequence[Segment]) -> Tensor:
        """Run a pass whose numbers are on the device already; see `run` and `pack`.

        `packed` has all of them in a row, in 64 bits. A graph repeats this with others in it, so
        nothing looks at them from here; `RowByRow`, which no graph has, goes by `segments` instead.
        """
        ids, positions, places, scored, starts, lengths, offsets = torch.split(
            packed, sizes.parts()
        )
        longest = max(segment.new for segment in segments)
        layout = Layout(starts.int(), lengths.int(), offsets.int(), longest)
        self.attention.begin(segments, layout)
        self._pool.places = places
        output = self._model(
            input_ids=ids[None],
            position_ids=positions[None],
            past_key_values=self._pool,
            use_cache=True,
            logits_to_keep=scored,
        )
        logits: Tensor = output.logits[0, : sizes.scores]
        return logits.float()

    def check(self, ids: Sequence[int]) -> None:
        """Raise IndexError if there are no ids, or some that the model cannot read."""
        require_ids(self._model, ids)
        if not ids:
            raise IndexError

    def lost(self) -> bool:
        """Whether a GPU is lost to this process, and with it all that is in the pool."""
        return cards.lost(self._model)

    def _attend(
        self,
        module: nn.Module,
        query: Tensor,
        keys: Tensor,
        values: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        sliding_window: int | None = None,
        **rest: Any,
    ) -> tuple[Tensor, None]:
        """Attend as transformers asks for it; the first that is returned is [1, new, heads, size].

        Raises:
            NotImplementedError: the model caps its scores, or has attention sinks.
        """
        if rest.get("softcap") is not None or rest.get("s_aux") is not None:
            raise NotImplementedError
        return self.attention(query, keys, values, scaling, sliding_window)[None], None


class Sizes(NamedTuple):
    """How much there is of a pass: new tokens, ranges that they are of, scores that are wanted."""

    tokens: int
    ranges: int
    scores: int

    def parts(self) -> list[int]:
        """Return how the numbers of a pass are divided (see `pack`)."""
        tokens, ranges, scores = self
        return [tokens, tokens, tokens, max(1, scores), ranges + 1, ranges, ranges + 1]


def pack(news: Sequence[New]) -> list[int]:
    """Return all numbers of a pass in a row, which go to the device in one piece.

    They are the ids, their positions in their texts, their places in the pool; which of them
    have scores; and what a `Layout` has.
    """
    ids = [id for new in news for id in new.ids]
    spans = [(new.range.start, new.range.length, len(new.ids)) for new in news]
    positions = [place for _, length, size in spans for place in range(length, length + size)]
    places = [start + length + at for start, length, size in spans for at in range(size)]
    offsets = [0, *accumulate(size for _, _, size in spans)]
    ends = zip(news, offsets[1:], strict=True)
    scored = [at for new, end in ends for at in range(end - new.scores, end)]
    starts = [start for start, _, _ in spans]
    lengths = [length + size for _, length, size in spans]
    return [*ids, *positions, *places, *(scored or [0]), *starts, 0, *lengths, *offsets]
