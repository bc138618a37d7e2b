"""What the app knows of this engine before it is loaded."""

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, Field

from chat.core.engine import Engine
from chat.core.sampling import Whole
from chat.engines.entry import Entry, Loaded, Outlook


class OpenVINOOptions(BaseModel):
    """The settings that are its own."""

    parallel: Whole = Field(
        8, ge=1, le=64, description="how many people OpenVINO answers at once; more wait"
    )


def _refusal(source: Path, cache: Path) -> str | None:
    from chat.models import ir

    return ir.refusal(source, cache)


def _load(source: Path, cache: Path, window: int, options: OpenVINOOptions) -> Loaded:
    from chat.engines.openvino.engine import OpenVINOEngine
    from chat.models import ir

    tokenizer, folder = ir.tokenizer_and_folder(source, cache)

    def start(stop_ids: Iterable[int]) -> Engine:
        engine = OpenVINOEngine(folder, stop_ids, window, options.parallel)
        if engine.parallel > 1:
            print(
                f"Up to {engine.parallel} people are answered at once; the KV cache holds "
                f"{engine.kv_cache_tokens:,} tokens ({engine.kv_cache_bytes / 1e9:.1f} GB)",
                flush=True,
            )
        return engine

    own = folder / "generation_config.json"
    return Loaded(tokenizer, start, json.loads(own.read_text()) if own.is_file() else {})


def _outlook(source: Path, cache: Path, window: int, options: OpenVINOOptions) -> Outlook:
    import psutil

    from chat.engines.openvino.engine import tokens_that_fit
    from chat.models import ir

    found = ir.outlook(source, cache)
    window = min(window, found.config.get("max_position_embeddings", window))
    tokens = tokens_that_fit(found.config, wanted=options.parallel * window)
    return Outlook(
        found.tokenizer,
        found.weights,
        found.memory,
        psutil.virtual_memory().available,
        "memory",
        found.disk,
        min(window, tokens),
        options.parallel,
    )


OPENVINO = Entry(
    title="OpenVINO",
    description="where there is no CUDA GPU, if it can run the model",
    hardware=("cpu",),
    options=OpenVINOOptions,
    refusal=_refusal,
    refused="OpenVINO cannot run this model: {reason}. Choose --engine transformers, "
    "or a GGUF file or an OpenVINO folder.",
    load=_load,
    outlook=_outlook,
)
