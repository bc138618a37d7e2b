"""What steps share: the device, sizes, models, and what earlier steps have found."""

import gc
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import torch

from benchmarks.gpu import checkpoints
from benchmarks.gpu.checkpoints import END
from benchmarks.gpu.report import Result
from benchmarks.gpu.sizes import CPU, CUDA

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from benchmarks.gpu.batched import Started
    from chat.engines.transformers.engine import TransformersEngine

GB = 1e9
#: Bytes that a token reads for a weight in NF4: half of one, a scale in 8 bits for each 64
#: weights, and one in 32 bits for each 256 scales (QLoRA, 2023).
NF4 = 1 / 2 + 1 / 64 + 4 / (64 * 256)


class Skipped(Exception):
    """A step cannot be done here; says why."""


class Bench:
    """One process's share of all of this.

    `model` is the folder or GGUF file to measure, instead of a random one.
    """

    def __init__(
        self, device: str, scratch: Path, model: Path | None, found: dict[str, Result]
    ) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise RuntimeError("There is no CUDA GPU that this torch can use.")
        self.device, self.cuda = device, device == "cuda"
        self.size = CUDA if self.cuda else CPU
        self.scratch = scratch
        self.found = found
        self._given = model
        self._engine: TransformersEngine | None = None
        self._batched: dict[tuple[str, str, str], Started] = {}

    # Models and engines.

    @cached_property
    def sharp(self) -> Path:
        """The folder of the model whose replies are compared."""
        return self._made("sharp", self.size.sharp)

    @cached_property
    def folder(self) -> Path:
        """The folder of the model whose speed is measured."""
        if not self._given:
            return self._made("large", self.size.shape)
        if self._given.is_dir():
            return self._given
        from chat.models import quantize

        return quantize._converted(self._given, self.scratch)

    def _made(self, name: str, shape: dict[str, Any]) -> Path:
        folder = self.scratch / name
        if not folder.exists():
            checkpoints.make(folder, shape, self.device)
        return folder

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The model whose speed is measured, loaded as the app does it."""
        from chat.models import quantize

        return quantize.tokenizer_and_model(self.folder, self.scratch)[1]

    @cached_property
    def config(self) -> Any:
        """And its configuration, without loading it."""
        from transformers import AutoConfig

        return AutoConfig.from_pretrained(self.folder).get_text_config()

    @property
    def window(self) -> int:
        """Most tokens of a prompt and its reply."""
        return min(self.size.window, int(self.config.max_position_embeddings))

    @property
    def engine(self) -> "TransformersEngine":
        """The app's engine around that model."""
        from chat.engines.transformers.engine import TransformersEngine

        if not self._engine:
            self._engine = TransformersEngine(self.model, self.stops, self.window)
        return self._engine

    @cached_property
    def stops(self) -> list[int]:
        """The ids that end a reply."""
        own = self.config.eos_token_id
        return own if isinstance(own, list) else [END if own is None else own]

    def renew_engine(self) -> "TransformersEngine":
        """Return an engine that has read nothing yet."""
        self.close()
        return self.engine

    def batched(self, model: str = "large", dtype: str = "any", way: str = "usual") -> "Started":
        """Return the batched engine, in its own process: a new one if it is not the last one's.

        `model` is large, or sharp. See `Started` for the others.
        """
        from benchmarks.gpu.batched import Started

        key = model, dtype, way
        if key not in self._batched:
            self.close()
            large = model == "large"
            folder, stops = (self.folder, self.stops) if large else (self.sharp, [END])
            window = self.window if large else self.size.sharp["max_position_embeddings"]
            self._batched[key] = Started(self, folder, stops, window, dtype, way)
        return self._batched[key]

    def ids(self, count: int, seed: int, vocabulary: int | None = None) -> list[int]:
        """Return a prompt of so many tokens, the same for the same seed."""
        vocabulary = vocabulary or self.config.vocab_size
        return random.Random(seed).choices(range(len(checkpoints.CONTROLS), vocabulary), k=count)

    # The device.

    def wait(self) -> None:
        """Wait until it has done all that it was told."""
        if self.cuda:
            torch.cuda.synchronize()

    def empty(self) -> None:
        """Have torch give back what memory it does not use."""
        if self.cuda and not self.lost():
            torch.cuda.empty_cache()

    def lost(self) -> bool:
        """Whether this process can do nothing more on its GPU, as is so after some errors."""
        try:
            self.wait()
        except RuntimeError:
            return True
        return False

    def used_gb(self) -> float:
        """Return how much of the GPU's memory is in use, by whomever; of a CPU's by this tree."""
        if self.cuda:
            free, total = torch.cuda.mem_get_info()
            return round((total - free) / GB, 2)
        import os

        from benchmarks import processes

        return round(processes.pss(os.getpid()) * processes.MB / GB, 2)

    def close(self) -> None:
        """End the engines and let go of what they held."""
        while self._batched:
            self._batched.popitem()[1].engine.close()
        if self._engine:
            self._engine.close()
            self._engine = None
            gc.collect()
            self.empty()

    # What the memory's bandwidth allows.

    @cached_property
    def weight_bytes(self) -> int:
        """The bytes of weights that a token reads: all but the table of embeddings."""
        from torch import nn
        from transformers import AutoModelForCausalLM

        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(self.config)
        head = model.get_output_embeddings()
        total = 0.0
        for module in model.modules():
            packed = isinstance(module, nn.Linear) and module is not head
            if not isinstance(module, nn.Embedding):
                parts = module.parameters(recurse=False)
                total += sum(part.numel() for part in parts) * (NF4 if packed else 2)
        return int(total)

    @property
    def kv_bytes(self) -> int:
        """The bytes of keys and values of one token of context, in 16 bits."""
        heads = self.config.num_attention_heads
        size = getattr(self.config, "head_dim", None) or self.config.hidden_size // heads
        return int(2 * self.config.num_hidden_layers * self.config.num_key_value_heads * size * 2)

    def share(self, tokens_per_s: float, people: int, context: int) -> float | None:
        """Return which share of the memory's bandwidth a speed of decoding is.

        A step for `people` reads the weights once, and the `context` (tokens) of each.
        None if the bandwidth is not known.
        """
        bandwidth = self.found.get("bandwidth", {}).get("gb_per_s")
        if not bandwidth:
            return None
        step = self.weight_bytes + people * context * self.kv_bytes
        return figure(tokens_per_s / people * step / GB / bandwidth)


def figure(value: float) -> float:
    """Return a figure with the digits that count."""
    return float(f"{value:.4g}")


@contextmanager
def computing_in(dtype: torch.dtype) -> Iterator[None]:
    """Have 4-bit layers of models that are loaded meanwhile compute in `dtype`."""
    from chat.models import quantize

    with patch.object(quantize, "compute_dtype", lambda: dtype):
        yield


def checkpoint(bench: Bench) -> Result:
    """Make the large model."""
    began = time.perf_counter()
    files = [*bench.folder.glob("*.safetensors")]
    return {
        "seconds": figure(time.perf_counter() - began),
        "gb": figure(sum(file.stat().st_size for file in files) / GB),
        "weights_read_per_token_gb": figure(bench.weight_bytes / GB),
        "kv_per_token_mb": figure(bench.kv_bytes / 1e6),
    }


def load(bench: Bench) -> Result:
    """Load it as the app does."""
    found: Result = {"model": bench.folder.name}
    bench.wait()
    if bench.cuda:
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    model = bench.model
    bench.wait()
    found |= {
        "seconds": figure(time.perf_counter() - began),
        "dtype": str(model.dtype).removeprefix("torch."),
        "attention": model.config._attn_implementation,
        "used_gb": bench.used_gb(),
    }
    if bench.cuda:
        found["peak_gb"] = figure(torch.cuda.max_memory_allocated() / GB)
        found["model_gb"] = figure(torch.cuda.memory_allocated() / GB)
    return found
