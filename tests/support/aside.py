"""Work in a process of its own, for what would leave this one changed.

Once a pipeline of OpenVINO's has run in a process, a later SIGINT, as the terminal's tests raise,
is its death.
"""

from functools import cache
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path

from chat.models import as_gguf, build


@cache
def _process() -> Pool:
    return get_context("spawn").Pool(1)


def built(source: Path, folder: Path, kind: as_gguf.Kind = "Q4_1", *, fused: bool = True) -> None:
    """Do what `build.build` does."""
    _process().apply(build.build, (source, folder, kind), {"fused": fused})
