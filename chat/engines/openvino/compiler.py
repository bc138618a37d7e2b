"""Grammars compiled away from any step, by a pipeline without a model.

openvino_genai compiles a grammar in the step in which the first reply to it begins, while
everyone in the batch waits. What it has compiled it keeps with the tokenizer, for all pipelines
that share that, until one whose vocabulary has another size asks; neither is documented.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
import openvino_genai as genai
from openvino import opset13 as ops


class Compiler:
    """Compiles for all pipelines of a `tokenizer` that score `vocabulary` tokens."""

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        self._pipeline = _pipeline(tokenizer, vocabulary)
        self._other = _pipeline(tokenizer, vocabulary + 1)

    def write(self, ties: dict[str, str], tokens: int = 1) -> None:
        """Compile, and write so many random tokens that match; others may run meanwhile.

        Raises:
            RuntimeError: these arguments of a StructuredOutputConfig are of no use.
        """
        _write(self._pipeline, ties, tokens)

    def forget(self) -> None:
        """Let go of all that was compiled, but for what replies are being written with."""
        _write(self._other, {"regex": "a"}, 1)


def _write(pipeline: Any, ties: dict[str, str], tokens: int) -> None:
    config = genai.GenerationConfig(max_new_tokens=tokens, do_sample=True)
    config.structured_output_config = genai.StructuredOutputConfig(**ties)
    pipeline.generate(ov.Tensor(np.zeros([1, 1], dtype=np.int64)), config)


def _pipeline(tokenizer: Any, vocabulary: int) -> Any:
    """Return a pipeline whose model finds all tokens equally likely."""
    inputs = [ops.parameter([-1, -1], np.int64), ops.parameter([-1, -1], np.int64)]
    inputs.append(ops.parameter([-1], np.int32))
    for parameter, name in zip(inputs, ("input_ids", "attention_mask", "beam_idx"), strict=True):
        parameter.output(0).set_names({name})
    ids = ops.convert(ops.unsqueeze(inputs[0], ops.constant(2)), np.float32)
    logits = ops.multiply(ids, ops.constant(np.zeros([1, 1, vocabulary], np.float32)))
    logits.output(0).set_names({"logits"})
    with tempfile.TemporaryDirectory() as folder:
        ov.save_model(ov.Model([logits], inputs), Path(folder, "openvino_model.xml"))
        return genai.LLMPipeline(folder, tokenizer, "CPU", ATTENTION_BACKEND="SDPA")
