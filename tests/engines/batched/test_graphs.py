"""Steps as graphs, with one that is done again in place of one that is repeated."""

from collections.abc import Callable

import pytest
import torch

from chat.engines.batched.attend import Flash
from chat.engines.batched.batcher import Batcher
from chat.engines.batched.graphs import Graphs
from tests.support.batched import LENGTH, SOME, TOKENS, alone, flash, fresh, job, pooled, written
from tests.support.batches import greedy


@pytest.mark.parametrize("family", ["llama-3", "qwen3", "mistral", "gemma-3"])
def test_steps_as_graphs_give_what_steps_give(family: str) -> None:
    """With one that is done again in place of one that is repeated."""
    passes, pool = pooled(fresh(family), TOKENS, Flash(TOKENS, flash))
    repeated: list[int] = []

    def capture(step: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        def repeat() -> torch.Tensor:
            with torch.inference_mode():
                scores = step()
            repeated.append(len(scores))
            return scores

        return repeat

    many = Batcher(passes, pool, 4, 16)
    graphs = Graphs(passes, TOKENS, 3, pool.device, capture)
    assert graphs.rows == (1, 2, 4)
    many.run = graphs.run
    jobs = [job(number, prompt, greedy(LENGTH)) for number, prompt in enumerate(SOME)]
    assert written(many, *jobs) == [alone(family, prompt, LENGTH) for prompt in SOME]
    assert {*repeated} == {1, 2, 4}
