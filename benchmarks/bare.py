"""`model.generate` of the 4-bit model and nothing around it, in a process of its own.

    python -m benchmarks.bare 200 [flags of the app]

The last line is a JSON object: tokens a second of one reply of so many tokens,
and the memory of the weights.
"""

import json
import sys
import time

from benchmarks import baseline, drawn, jobs, scenarios
from benchmarks.figures import Figures
from benchmarks.processes import MB


def start(tokens: int, flags: list[str]) -> Figures:
    """Run this in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    return dict(jobs.start("bare", tokens, flags))


def main(tokens: int, flags: list[str]) -> Figures:
    """Return the figures of one reply, after a short one that warms up."""
    import torch

    from chat.settings import read

    settings = read(flags)
    tokenizer, model = baseline.load(settings)
    controls = drawn.controls(tokens)
    messages = [{"role": "system", "content": controls["System prompt"]}]
    messages.append({"role": "user", "content": scenarios.story_of(0, 1)})
    inputs = baseline.prompt(tokenizer, model, messages)
    labels = ("Temperature", "Top-p", "Top-k", "Min-p", "Repetition penalty")
    rest = [controls[label] for label in labels]
    model.generate(**inputs, **baseline.options(4, 4, *rest))
    torch.manual_seed(1)
    began = time.perf_counter()
    written = model.generate(**inputs, **baseline.options(tokens, tokens, *rest))
    seconds = time.perf_counter() - began
    new = written.shape[1] - inputs["input_ids"].shape[1]
    return {"user_tokens_per_s": new / seconds, "weights_mb": model.get_memory_footprint() / MB}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), sys.argv[2:])))
