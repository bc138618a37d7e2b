"""What transformers does by itself, with the same 4-bit model, and nothing around it."""

import time
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import torch
from transformers import CompileConfig, ContinuousBatchingConfig, GenerationConfig
from transformers.generation.streamers import BaseStreamer

from benchmarks.gpu.bench import Bench, figure
from benchmarks.gpu.report import Result

#: Tokens of each reply after which its speed is measured.
SETTLED = 4
#: Tokens that continuous batching takes in one pass, and its share of the free memory.
BATCH_TOKENS, MEMORY = 1024, 0.4


class Clock(BaseStreamer):
    """Keeps the times at which tokens come, for all rows of a batch at once."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: torch.Tensor) -> None:
        """Take the prompt, and then each token, which is on the CPU by now."""
        self.times.append(time.perf_counter())

    def end(self) -> None:
        """Nothing is left to do."""


def greedy(model: Any, prompt: Sequence[int], tokens: int, **options: Any) -> list[int]:
    """Return the likeliest reply of so many tokens, by `model.generate`."""
    return written(model, [prompt], tokens, **options)[0]


def written(
    model: Any,
    prompts: Sequence[Sequence[int]],
    tokens: int,
    clock: Clock | None = None,
    **options: Any,
) -> list[list[int]]:
    """Return the likeliest replies to prompts of the same length."""
    ids = torch.tensor(list(map(list, prompts)), device=model.device)
    with torch.inference_mode():
        whole = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=config(model, tokens, **options),
            streamer=clock,
        )
    return [row[ids.shape[1] :].tolist() for row in whole]


def config(model: Any, tokens: int, **options: Any) -> GenerationConfig:
    """Return the configuration of greedy replies of so many tokens."""
    own = model.config.get_text_config().eos_token_id
    return GenerationConfig(
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        eos_token_id=own,
        pad_token_id=own[0] if isinstance(own, list) else own,
        **options,
    )


def plain(bench: Bench) -> Result:
    """`model.generate`; on CUDA also with the other choice of cuDNN's attention."""
    found = _each(bench)
    if bench.cuda:
        chosen = torch.backends.cuda.cudnn_sdp_enabled()
        torch.backends.cuda.enable_cudnn_sdp(not chosen)
        try:
            name = "without" if chosen else "with"
            found[f"1, {name} cuDNN attention"] = _speed(bench, 1)
        finally:
            torch.backends.cuda.enable_cudnn_sdp(chosen)
    return found


def static(bench: Bench) -> Result:
    """The same with a static cache, not compiled: transformers compiles no 4-bit model."""
    return _each(bench, cache_implementation="static")


def compiled(bench: Bench) -> Result:
    """The same with a static cache and torch.compile, which transformers is talked into."""
    how = CompileConfig() if bench.cuda else CompileConfig(backend="eager")
    how._compile_all_devices = True  # type: ignore[assignment]
    kind = type(bench.model.hf_quantizer)
    with patch.object(kind, "is_compileable", property(lambda _: True)):
        began = time.perf_counter()
        found = _speed(bench, 1, cache_implementation="static", compile_config=how)
    return {"1": found, "seconds_with_compiling": figure(time.perf_counter() - began)}


def continuous(bench: Bench) -> Result:
    """Continuous batching of transformers itself, with the attention that is installed."""
    model, size = bench.model, bench.size
    room = {"max_memory_percent": MEMORY} if bench.cuda else {"num_blocks": 64}
    how = ContinuousBatchingConfig(max_batch_tokens=BATCH_TOKENS, **room)
    attention = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    found: Result = {}
    try:
        for people in size.people:
            prompts = [bench.ids(size.prompt, seed) for seed in range(people)]
            began = time.perf_counter()
            replies = model.generate_batch(  # type: ignore[operator]
                inputs=prompts,
                generation_config=config(model, size.tokens),
                continuous_batching_config=how,
            )
            seconds = time.perf_counter() - began
            if errors := {reply.error for reply in replies.values() if reply.error}:
                raise RuntimeError(" ".join(errors))
            count = sum(len(reply.generated_tokens) for reply in replies.values())
            found[f"{people}"] = {"total_tokens_per_s": figure(count / seconds), "tokens": count}
    finally:
        model.set_attn_implementation(attention)
    return found


def _each(bench: Bench, **options: Any) -> Result:
    return {f"{people}": _speed(bench, people, **options) for people in bench.size.people}


def _speed(bench: Bench, people: int, **options: Any) -> Result:
    """Measure a batch of prompts of the same length: no batch is easier."""
    size, model = bench.size, bench.model
    prompts = [bench.ids(size.prompt, seed) for seed in range(people)]
    tokens = size.tokens // 2
    written(model, prompts, tokens, **options)
    clock = Clock()
    began = time.perf_counter()
    written(model, prompts, tokens, clock, **options)
    _, first, *times = clock.times
    rate = people * (len(times) - SETTLED) / (times[-1] - times[SETTLED - 1])
    context = size.prompt + tokens // 2
    return {
        "first_token_ms": figure(1000 * (first - began)),
        "tokens_per_s": figure(rate),
        "share": bench.share(rate, people, context),
    }
