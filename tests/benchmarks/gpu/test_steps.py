"""The steps of the check of a GPU, on tiny models: none fails by a slip where there is one."""

import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.gpu import plan
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.checkpoints import make
from benchmarks.gpu.child import attempt
from benchmarks.gpu.plan import Step
from benchmarks.gpu.sizes import TINY
from tests.support import gguf_file

#: What each step gives, at least.
RIGHT = {"right", "equal", "same_seed_same_reply"}
FIGURES = {
    "machine": {"date", "cpu", "torch", "transformers", "bitsandbytes"},
    "bandwidth": {"gb_per_s"},
    "right_float32": RIGHT,
    "right_bfloat16": RIGHT,
    "right_float16": RIGHT,
    "batched_right_float32": RIGHT | {"start_s", "attention", "graphs"},
    "batched_right_bfloat16": {"skipped"},
    "batched_right_float16": {"skipped"},
    "batched_right_eager": {"skipped"},
    "batched_right_rows": {"skipped"},
    "batched_controls": {"right", "equal"},
    "batched_killed": {"right", "done_after_s", "state"},
    "layers": {"128x128, 1 rows", "128x128, 2 rows"},
    "checkpoint": {"seconds", "gb", "weights_read_per_token_gb", "kv_per_token_mb"},
    "batched": {"start_s", "pool_gb", "1", "2", "1, greedy", "used_gb"},
    "batched_first_token": {"40 tokens", "100 tokens"},
    "batched_turns": {"first_token_ms", "last_over_first", "tokens"},
    "batched_stops": {"usual_ms", "after_writing_ms", "after_reading_ms"},
    "batched_little_memory": {"right", "long", "state"},
    "load": {"seconds", "dtype", "used_gb"},
    "generate": {"1", "2"},
    "profile": {"generate", "engine, greedy", "engine, drawn"},
    "engine": {"start_s", "1", "1, greedy", "used_gb"},
    "engine_first_token": {"40 tokens", "100 tokens"},
    "engine_turns": {"first_token_ms", "last_over_first", "tokens"},
    "engine_stops": {"usual_ms", "after_writing_ms", "after_reading_ms"},
    "engine_out_of_memory": {"right", "equal", "long", "state"},
    "http": {"start_to_page_s", "start_to_first_token_s", "1", "2", "used_gb"},
    "batched_eager": {"skipped"},
    "batched_plain": {"skipped"},
    "static": {"1", "2"},
    "continuous": {"1", "2"},
    "compiled": {"1", "seconds_with_compiling"},
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench("cpu", tmp_path_factory.mktemp("gpu"), None, {})
    yield bench
    bench.close()


@pytest.mark.parametrize("step", plan.STEPS, ids=lambda step: step.name)
def test_each_step_gives_its_figures(step: Step, bench: Bench) -> None:
    result = attempt(step, bench, left=600)
    assert result.keys() >= FIGURES[step.name], result
    assert result.get("right", True)
    numbers = list(_numbers(json.loads(json.dumps(result))))
    assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize("converted", [False, True])
def test_a_model_of_ones_own_can_be_measured(
    converted: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("own")
    if converted:
        model = gguf_file.write(folder / "own.gguf")
    else:
        model = folder / "own"
        make(model, TINY, "cpu")
    bench = Bench("cpu", folder, model, {"bandwidth": {"gb_per_s": 1.0}})
    for step in plan.chosen(["checkpoint", "load", "generate"]):
        result = attempt(step, bench, left=600)
        assert result.keys() >= FIGURES[step.name], result
    assert bench.found["load"]["model"].startswith("own")
    assert bench.found["generate"]["1"]["share"] > 0


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield value
