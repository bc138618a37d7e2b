"""What the app knows of this engine before it is loaded."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chat import space
from chat.core.engine import Engine
from chat.engines.entry import EngineOptions, Entry, Loaded, Outlook, same_vocabulary


def _refusal(source: Path, cache: Path) -> str | None:
    return "it is an OpenVINO model" if (source / "openvino_model.xml").is_file() else None


def _load(source: Path, cache: Path, window: int, options: EngineOptions) -> Loaded:
    from chat.engines.transformers.assistant import require_cut
    from chat.engines.transformers.cpu import threads
    from chat.engines.transformers.guide import Guide
    from chat.models import adapters, locate, quantize

    kind: Callable[..., Engine]
    beside: dict[str, Any] = {}
    if space.zero_gpu():
        from chat.engines.transformers.zero_gpu import ZeroGPUEngine as kind
    else:
        from chat.engines.transformers.engine import TransformersEngine as kind

        beside["watchdog"] = options.watchdog

    threads.use(options.threads)
    named, drafting = adapters.read(options.adapter), options.assistant_model
    smaller = locate.locate(drafting, cache, cuda=False) if drafting else None
    tokenizer, model = quantize.tokenizer_and_model(source, cache)
    if named:
        from chat.models.lora import Lora

        beside["lora"] = Lora(model, named)
    if smaller:
        require_cut(model)
        other, assistant = quantize.tokenizer_and_model(smaller, cache)
        same_vocabulary(tokenizer, other)
        require_cut(assistant)
        beside["assistant"] = assistant

    def start(stop_ids: Iterable[int]) -> Engine:
        guide = Guide(tokenizer, model.config.get_text_config().vocab_size)
        lookup = options.prompt_lookup
        return kind(model, stop_ids, window, prompt_lookup=lookup, guide=guide, **beside)

    own = model.generation_config
    return Loaded(tokenizer, start, own.to_diff_dict() if own else {}, tuple(named))


def _outlook(source: Path, cache: Path, window: int, options: EngineOptions) -> Outlook:
    import torch

    from chat import machine
    from chat.engines.transformers.kv_cache import token_bytes
    from chat.engines.transformers.ready import longest_window
    from chat.models import cards, quantize
    from chat.models.memory import require

    found = quantize.outlook(source, cache)
    token = token_bytes(found.config, quantize.compute_dtype())
    needed = found.size * quantize.WITH_ROOM
    free = quantize.free_memory(needed)
    left = max(0, free - needed)
    memory = found.memory
    if found.disk and torch.cuda.is_available():  # it is converted beside the GPU
        require(memory, machine.free_memory(), "memory")
        memory = needed
    return Outlook(
        found.tokenizer,
        found.weights,
        memory,
        free,
        quantize.kind_of_memory(),
        found.disk,
        longest_window(found.config, window),
        parallel=1,
        size=found.size,
        cache_tokens=int(left // token) if token else 0,
        token_bytes=token,
        gpus=len(cards.free(needed)),
    )


TRANSFORMERS = Entry(
    title="transformers",
    description="any other model",
    hardware=("cpu", "cuda"),
    options=EngineOptions,
    refusal=_refusal,
    refused="This is an OpenVINO model, which needs --engine openvino.",
    load=_load,
    outlook=_outlook,
)
