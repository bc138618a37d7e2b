"""Decoding steps as CUDA graphs: all kernels of a pass started at once.

A step of a small batch is more than a thousand kernels, and to start each from Python takes
longer than most of them run (Nguyen et al., "Accelerating PyTorch with CUDA Graphs", 2021). A
graph repeats them with the same tensors, so there is one for each of a few numbers of replies;
places that are left over are filled with a token that nobody reads.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from chat.engines.batched.attend import Segment
from chat.engines.batched.passes import New, Passes, Sizes, pack
from chat.engines.batched.ranges import Range

#: For how many replies there are graphs.
ROWS = (1, 2, 4, 8, 16, 32)
#: Passes before one is captured, in which libraries get ready.
BEFORE = 2

#: Given what is to be repeated, returns what repeats it.
Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]


class Graphs:
    """Runs passes as graphs where they are decoding steps, and kernel by kernel elsewhere.

    There is one for each of `ROWS` up to the first that has room for `most` replies. Rows that
    are left over write to the place behind the pool's `tokens`, which is there for that.

    Raises:
        RuntimeError: a pass cannot be captured.
    """

    def __init__(
        self,
        passes: Passes,
        tokens: int,
        most: int,
        device: torch.device,
        capture: Capture | None = None,
    ) -> None:
        self._passes = passes
        self._device = device
        self._spare = New(Range(tokens, 1), [0], 1)
        enough = next((rows for rows in ROWS if rows >= most), ROWS[-1])
        self._graphs = {
            rows: self._graph(rows, capture or captured) for rows in ROWS if rows <= enough
        }

    @property
    def rows(self) -> tuple[int, ...]:
        """For how many replies there are graphs."""
        return tuple(self._graphs)

    @torch.inference_mode()
    def run(self, news: Sequence[New]) -> Tensor:
        """See `Passes.run`."""
        rows = next((rows for rows in self._graphs if rows >= len(news)), 0)
        if not rows or any(len(new.ids) > 1 or not new.scores for new in news):
            return self._passes.run(news)
        packed, repeat = self._graphs[rows]
        filled = [*news, *[self._spare] * (rows - len(news))]
        packed.copy_(torch.tensor(pack(filled)))
        return repeat()[: len(news)]

    @torch.inference_mode()
    def _graph(self, rows: int, capture: Capture) -> tuple[Tensor, Callable[[], Tensor]]:
        """Return the numbers of a step for so many replies, and what repeats it with them."""
        packed = torch.tensor(pack([self._spare] * rows), device=self._device)
        start, length = self._spare.range.start, self._spare.range.length
        segments = [Segment(start, length, 1)] * rows
        sizes = Sizes(rows, rows, rows)
        return packed, capture(lambda: self._passes.forward(packed, sizes, segments))


def captured(step: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """Return `step` as a CUDA graph."""
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(BEFORE):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph, usual = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
    try:
        with torch.cuda.graph(graph):
            scores = step()
    finally:
        torch.cuda.set_stream(usual)  # a capture that fails stays on its own

    def repeat() -> Tensor:
        graph.replay()
        return scores

    return repeat
