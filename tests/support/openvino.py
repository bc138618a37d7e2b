"""OpenVINO engines with a random two-layer Llama, and what is asked of them."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from tests.support.batches import greedy

PROMPT = [5, 6, 7, 8]
CLOSE = 0.1  # of logits that spread over tens; OpenVINO computes exp and the like its own way
NEVER = 1  # as the only stop id: this model never picks it greedily here

Start = Callable[..., OpenVINOEngine]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Start engines, which live until the end of the block."""
    engines = []

    def start(folder: Path = folder, **options: Any) -> OpenVINOEngine:
        stop_ids = options.pop("stop_ids", {NEVER})
        chosen = {
            "window": 4096,
            "parallel": 8,
            "properties": EXACT,
            **options,
        }
        engines.append(OpenVINOEngine(folder, **chosen))
        return engines[-1].start(stop_ids)

    try:
        yield start
    finally:
        for engine in engines:
            engine.close()


#: A window that takes minutes to fill, and what fills it, however long a busy machine looks away.
LONG = 2**16
ENDLESS = greedy(60_000, min_new_tokens=60_000)


def gaps(model: Any, prompt: list[int], reply: list[int], penalty: float = 1.0) -> list[float]:
    """Return by how much transformers likes its own next token more, at each token of a reply."""
    ids = torch.tensor([prompt + reply])
    logits = model(ids).logits[0].detach()
    penalize = RepetitionPenaltyLogitsProcessor(penalty)
    found = []
    for at, chosen in enumerate(reply, start=len(prompt)):
        scores = penalize(ids[:, :at], logits[at - 1][None].clone())[0]
        found.append(float(scores.max() - scores[chosen]))
    return found


def some_ids(count: int, seed: int = 0) -> list[int]:
    return random.Random(seed).choices(range(10, 400), k=count)


def newest_process() -> psutil.Process:
    processes = [
        child
        for child in psutil.Process().children()
        if "chat.engines.openvino.batcher" in " ".join(child.cmdline())
    ]
    return max(processes, key=psutil.Process.create_time)
