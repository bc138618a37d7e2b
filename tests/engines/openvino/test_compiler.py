"""chat.engines.openvino.compiler, and what of openvino_genai it counts on."""

import json
from multiprocessing import get_context
from pathlib import Path

HEAVY = {"regex": "([^1]|[^2]|[^3][^4]|[^5]{2,2}){0,60}"}


def _costs(folder: str, vocabulary: int) -> list[float]:
    """Return the CPU time of compiling, of a step, of compiling again, and once forgotten."""
    import time

    import numpy as np
    import openvino as ov
    import openvino_genai as genai

    from chat.engines.openvino.compiler import Compiler

    tokenizer = genai.Tokenizer(folder)
    scheduling = genai.SchedulerConfig()
    scheduling.num_kv_blocks = 10
    pipeline = genai.ContinuousBatchingPipeline(folder, tokenizer, scheduling, "CPU")
    compiler = Compiler(tokenizer, vocabulary)
    prompt = ov.Tensor(np.array([[5, 6, 7]], dtype=np.int64))

    def step(number: int, **options: object) -> None:
        pipeline.add_request(number, prompt, genai.GenerationConfig(max_new_tokens=1, **options))
        pipeline.step()

    costs = []
    step(0)
    ties = genai.StructuredOutputConfig(**HEAVY)
    for work in (
        lambda: compiler.write(HEAVY),
        lambda: step(1, structured_output_config=ties),
        lambda: compiler.write(HEAVY),
        lambda: (compiler.forget(), compiler.write(HEAVY)),
    ):
        before = time.process_time()
        work()
        costs.append(time.process_time() - before)
    return costs


def test_what_is_compiled_is_there_for_the_tokenizers_pipelines_until_it_is_forgotten(
    folder: Path,
) -> None:
    """In a process of its own, as the batcher's tests say why."""
    vocabulary = json.loads((folder / "config.json").read_text())["vocab_size"]
    with get_context("spawn").Pool(1) as process:
        first, step, again, forgotten = process.apply(_costs, [str(folder), vocabulary])
    assert step < first / 4
    assert again < first / 4
    assert forgotten > first / 4
