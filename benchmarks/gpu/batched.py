"""The batched engine, as the steps ask for it: all that is known of it here.

Its process loads the model by a function that is named in its plan; those here make it
compute in a type, or leave out the quickest ways, as it does by itself where those fail.
"""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import torch

from benchmarks.gpu.bench import Bench, Skipped, computing_in, figure
from benchmarks.gpu.report import Result

#: As it starts by itself; without CUDA graphs; with one row's attention after another's; and with
#: the layers that transformers and bitsandbytes bring.
USUAL, EAGER, ROWS, PLAIN = "usual", "eager", "rows", "plain"
DTYPES = ("float32", "bfloat16", "float16", "any")


class Started:
    """An engine that is ready, and its process."""

    def __init__(
        self,
        bench: Bench,
        folder: Path,
        stop_ids: Sequence[int],
        window: int,
        dtype: str,
        way: str,
    ) -> None:
        """Start it; `dtype` is any for the one that this machine computes in.

        Raises:
            Skipped: a CPU has no such way.
            ModelError: it cannot be started.
        """
        from chat.engines.batched.engine import BatchedEngine
        from chat.engines.batched.wire import Plan

        if not bench.cuda and way != USUAL:
            raise Skipped("it attends row by row on a CPU, without CUDA graphs")
        if not bench.cuda and dtype not in ("float32", "any"):
            raise Skipped("on a CPU it is compared in float32 alone")
        loader = f"{__name__}:LOADERS.{dtype}_{way}"
        began, others = time.perf_counter(), set(psutil.Process().children())
        parallel = max(bench.size.people)
        plan = Plan(folder, bench.scratch, window, parallel, loader=loader)
        self.engine = BatchedEngine(plan).start(stop_ids)
        self._others = others
        ready = self.engine.ready
        #: What it says of itself.
        self.said: Result = {
            "start_s": figure(time.perf_counter() - began),
            "attention": ready.attention,
            "graphs": list(ready.graphs),
            "pool_tokens": ready.pool_tokens,
            "pool_gb": figure(ready.pool_bytes / 1e9),
            "parallel": ready.parallel,
        }

    def kill(self) -> None:
        """End its process as a GPU that is lost would."""
        for process in set(psutil.Process().children()) - self._others:
            process.kill()


def load(dtype: str, way: str, source: Path, cache: Path) -> tuple[Any, Any]:
    """Return the tokenizer and the 4-bit model, in the engine's process."""
    from chat.engines.batched.attend import Flash
    from chat.engines.batched.graphs import Graphs
    from chat.models import quantize

    if torch.cuda.is_available():
        from benchmarks.gpu import older_torch

        older_torch.mend()
    if way in (EAGER, ROWS):
        _leave_out(Graphs, "__init__")
    if way == ROWS:
        _leave_out(Flash, "begin")
    if way == PLAIN:
        from chat.engines.batched import linear, norms

        _leave_out(linear, "quicken")
        norms.fuse = lambda model: 0
    if dtype == "any":
        return quantize.tokenizer_and_model(source, cache)
    with computing_in(getattr(torch, dtype)):
        return quantize.tokenizer_and_model(source, cache)


def _leave_out(kind: object, name: str) -> None:
    """Have a way fail as it does where it cannot be gone."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("This way is left out.")

    setattr(kind, name, refuse)


#: By a name that a plan can give: float32_usual and so on.
LOADERS = SimpleNamespace(
    **{
        f"{dtype}_{way}": partial(load, dtype, way)
        for dtype in DTYPES
        for way in (USUAL, EAGER, ROWS, PLAIN)
    }
)
