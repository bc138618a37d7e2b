"""Whether every control does on both engines what it does on the other, with the same seed.

The contract that the tests hold engines to, for what a CPU cannot show: masks, penalties and
draws are computed on the GPU here. In float32, in which two ways to add up hardly differ.
"""

from typing import Any

from benchmarks.gpu import replies
from benchmarks.gpu.bench import Bench, computing_in
from benchmarks.gpu.checkpoints import END
from benchmarks.gpu.report import Result
from chat.core.sampling import Sampling

GREEDY = {"temperature": 0, "repetition_penalty": 1}
CONTROLS: dict[str, dict[str, Any]] = {
    "drawn from all": {"temperature": 1.2, "top_k": 0, "top_p": 1, "seed": 3},
    "drawn from a few": {"temperature": 0.9, "top_k": 20, "top_p": 0.9, "min_p": 0.02, "seed": 3},
    "drawn by a share": {"temperature": 1, "top_k": 0, "top_p": 0.7, "seed": 4},
    "repetition penalty": {**GREEDY, "repetition_penalty": 1.5},
    "presence and frequency": {**GREEDY, "presence_penalty": 1, "frequency_penalty": 0.5},
    "logit bias": {"temperature": 1, "logit_bias": {"20": 5, "30": 4, "40": -100}, "seed": 1},
    "negative prompt": {**GREEDY, "negative_prompt": "a", "guidance_scale": 3},
    "logprobs": {**GREEDY, "logprobs": True, "top_logprobs": 3},
    "choices": {"temperature": 1, "choices": ("yes", "no, not at all"), "seed": 2},
    "regex": {"temperature": 1, "regex": r"\d{3}-[a-z]{2,9}\.", "seed": 2},
    "JSON schema": {**GREEDY, "json_schema": '{"type": "array", "items": {"type": "boolean"}}'},
}
#: What the negative prompt is, as ids.
NEGATIVE = [9, 8, 7]


def compare(bench: Bench) -> Result:
    """Ask both engines for a reply with each of `CONTROLS`: the batched one for all at once."""
    import torch

    from chat.engines.transformers.engine import TransformersEngine
    from chat.engines.transformers.guide import Guide
    from chat.models import quantize

    started = bench.batched("sharp", "float32")
    with computing_in(torch.float32):
        tokenizer, model = quantize.tokenizer_and_model(bench.sharp, bench.scratch)
    guide = Guide(tokenizer, model.config.vocab_size)
    window = int(bench.size.sharp["max_position_embeddings"])
    alone = TransformersEngine(model, [END], window, guide=guide)
    prompt = bench.ids(20, 1, model.config.vocab_size)
    samplings = {
        name: Sampling(max_new_tokens=bench.size.compared_tokens, **values)
        for name, values in CONTROLS.items()
    }
    prompts = [prompt] * len(samplings)
    try:
        right = replies.run(replies.together(alone, prompts, list(samplings.values()), NEGATIVE))
    finally:
        alone.close()
    found = replies.run(
        replies.together(started.engine, prompts, list(samplings.values()), NEGATIVE)
    )
    pairs = zip(samplings, right, found, strict=True)
    differ = [name for name, one, other in pairs if one.ids != other.ids]
    equal = f"{len(samplings) - len(differ)} of {len(samplings)}"
    return {"right": not differ, "equal": equal} | ({"wrong": differ} if differ else {})
