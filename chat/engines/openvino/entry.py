"""What the app knows of this engine before it is loaded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from chat import machine
from chat.core.engine import Engine
from chat.engines.entry import (
    Entry,
    Loaded,
    ManyOptions,
    Outlook,
    same_vocabulary,
    tell_of_room,
)
from chat.errors import ModelError
from chat.models import adapters

#: What the line at the start begins with.
TUNED = "OpenVINO's settings"


def _refusal(source: Path, cache: Path) -> str | None:
    from chat.models import ir

    return ir.refusal(source, cache)


def _load(source: Path, cache: Path, window: int, options: ManyOptions) -> Loaded:
    from chat.engines.openvino import tuning
    from chat.engines.openvino.engine import OpenVINOEngine
    from chat.models import config, ir, ir_layers, locate

    named, assistant = adapters.read(options.adapter), None
    smaller = options.assistant_model and locate.locate(options.assistant_model, cache, cuda=False)
    folder = ir.ready(source, cache, fused=_fused(options))
    if any(named.values()):
        layers = ir_layers.layers(folder)
        for adapter in filter(None, named.values()):
            ir_layers.check(adapter, layers)
    if smaller:
        if reason := ir.refusal(smaller, cache):
            raise ModelError(f"OpenVINO cannot run the assistant model: {reason}.")
        other, assistant = ir.tokenizer_and_folder(smaller, cache)
        same_vocabulary(ir.tokenizer(folder), other)
    ir.require_room(folder, _pipelines(options))
    properties = _fixed(options)
    if options.tune is not False:
        found = tuning.tuned(folder, cache, properties, again=bool(options.tune))
        print(f"{TUNED}: {found}", flush=True)
        properties = {**properties, **found.properties}

    engine = OpenVINOEngine(
        folder,
        window,
        options.parallel,
        properties,
        adapters=named,
        assistant=assistant,
        prompt_lookup=options.prompt_lookup,
        watchdog=options.watchdog,
    )
    try:
        # Meanwhile transformers is imported here, for the tokenizer alone.
        tokenizer = ir.tokenizer(folder)
    except BaseException:  # a Ctrl-C too
        engine.close()
        raise

    def start(stop_ids: Iterable[int]) -> Engine:
        engine.start(stop_ids)
        tell_of_room(engine.parallel, engine.kv_cache_tokens, engine.kv_cache_bytes)
        return engine

    return Loaded(tokenizer, start, config.generation(folder), tuple(named), engine.close)


def _fused(options: ManyOptions) -> bool:
    """Whether the layers are: adapters change some of them."""
    return adapters.parse(options.adapter).keys() <= {adapters.NONE}


def _fixed(options: ManyOptions) -> dict[str, Any]:
    """Return what of OpenVINO's properties the host has chosen, or a container has limited."""
    threads = machine.quota() if options.threads == "auto" else options.threads
    return {"INFERENCE_NUM_THREADS": threads} if threads else {}


def _pipelines(options: ManyOptions) -> int:
    """Return how many pipelines there are, each of which has the weights: see `batcher`."""
    drafting = bool(options.assistant_model or options.prompt_lookup)
    return (len(adapters.parse(options.adapter)) or 1) * (1 + drafting)


def _outlook(source: Path, cache: Path, window: int, options: ManyOptions) -> Outlook:
    from chat.engines.openvino import tuning
    from chat.engines.openvino.engine import at_once, tokens_that_fit
    from chat.models import config, ir

    fused = _fused(options)
    found = ir.outlook(source, cache, fused=fused)
    settings = config.shape(found.config)
    window = min(window, settings.get("max_position_embeddings", window))
    pipelines = _pipelines(options)
    tokens = tokens_that_fit(settings, options.parallel, window, pipelines)
    tuned = tuning.known(ir.place(source, cache, fused=fused), cache, _fixed(options))
    return Outlook(
        found.tokenizer,
        found.weights,
        max(found.memory, ir.WITH_ROOM * found.size * pipelines),
        machine.free_memory(),
        "memory",
        found.disk,
        min(window, tokens),
        at_once(tokens, window, options.parallel),
        found.size * pipelines,
        tokens,
        config.token_bytes(settings) * pipelines,
        settings="OpenVINO's own" if options.tune is False else str(tuned or "to be found, once"),
    )


OPENVINO = Entry(
    title="OpenVINO",
    description="where there is no CUDA GPU, if it can run the model",
    hardware=("cpu",),
    options=ManyOptions,
    refusal=_refusal,
    refused="OpenVINO cannot run this model: {reason}. Choose --engine transformers, "
    "or a GGUF file or an OpenVINO folder.",
    load=_load,
    outlook=_outlook,
)
