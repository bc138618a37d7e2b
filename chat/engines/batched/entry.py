"""What the app knows of this engine before it is loaded."""

from pathlib import Path

from chat import space
from chat.engines import room
from chat.engines.entry import Entry, Loaded, ManyOptions, Outlook, tell_of_room
from chat.engines.transformers.entry import TRANSFORMERS

#: The kinds of models that it is tested with, as config.json names them.
KINDS = frozenset(
    {
        *("apertus", "arcee", "cohere", "cohere2", "ernie4_5", "exaone4"),
        *("gemma", "gemma3_text", "glm", "glm4", "gpt2", "gpt_neox"),
        *("granite", "llama", "mistral", "mixtral", "nemotron", "olmo"),
        *("olmo2", "olmo3", "opt", "phi", "phi3", "qwen2"),
        *("qwen3", "qwen3_moe", "seed_oss", "smollm3", "stablelm", "starcoder2"),
    }
)
#: Those that GGUF files name otherwise.
GGUF_KINDS = {"gemma3": "gemma3_text", "qwen3moe": "qwen3_moe", "gptneox": "gpt_neox"}


def _refusal(source: Path, cache: Path) -> str | None:
    if space.zero_gpu():
        return "ZeroGPU gives a GPU to one reply at a time"
    if reason := TRANSFORMERS.refusal(source, cache):
        return reason
    kind = _kind(source)
    if kind not in KINDS:
        return f"models of the kind {kind} have not been tried with it"
    if _follows_length(source):
        return "its keys change with the length of the text"
    return "it needs more than one GPU" if _divided(source, cache) else None


def _kind(source: Path) -> str:
    """Return the kind of model of a folder or GGUF file, as config.json names it."""
    from chat.models import config, parts

    if source.is_dir():
        return str(config.read(source).get("model_type"))
    reader = parts.reader(source)
    parts.require_whole(source.name, reader)
    kind = str(reader.fields["general.architecture"].contents())
    return GGUF_KINDS.get(kind, kind)


def _follows_length(source: Path) -> bool:
    """Return whether its rotary embeddings do (see `kv_cache.growing_layers`), as far as told."""
    from chat.models import config

    if not source.is_dir():
        return False
    settings = config.read(source)
    rope = f"{settings.get('rope_scaling')}{settings.get('rope_parameters')}"
    return "dynamic" in rope or "longrope" in rope


def _divided(source: Path, cache: Path) -> bool:
    """Return whether the model is too large for one GPU, where there are more."""
    import torch

    if torch.cuda.device_count() < 2:
        return False
    return TRANSFORMERS.outlook(source, cache, 0, TRANSFORMERS.options()).gpus > 1


def _load(source: Path, cache: Path, window: int, options: ManyOptions) -> Loaded:
    from chat.engines.batched.engine import BatchedEngine
    from chat.engines.batched.wire import Plan
    from chat.models import locate

    drafting = options.assistant_model
    assistant = locate.locate(drafting, cache, cuda=False) if drafting else None
    engine = BatchedEngine(
        Plan(
            source,
            cache,
            window,
            options.parallel,
            options.adapter,
            assistant,
            0 if assistant else options.prompt_lookup,
            options.threads,
        ),
        options.watchdog,
    )
    ready = engine.ready
    tell_of_room(ready.parallel, ready.pool_tokens, ready.pool_bytes)
    return Loaded(ready.tokenizer, engine.start, ready.generation, ready.adapters, engine.close)


def _outlook(source: Path, cache: Path, window: int, options: ManyOptions) -> Outlook:
    from chat.models.quantize import WITH_ROOM

    found = TRANSFORMERS.outlook(source, cache, window, options)
    gpu, free = found.gpus > 0, found.free_memory - found.size * WITH_ROOM
    tokens = 0
    if found.token_bytes:
        tokens = room.pool_tokens(
            max(0, free), found.token_bytes, found.window, options.parallel, gpu=gpu
        )
    return found._replace(
        window=min(found.window, tokens) or found.window,
        cache_tokens=tokens,
        parallel=room.replies(tokens, found.window, options.parallel),
    )


BATCHED = Entry(
    title="the batched engine",
    description="where there is a CUDA GPU, if it can run the model",
    hardware=("cuda",),
    options=ManyOptions,
    refusal=_refusal,
    refused="The batched engine cannot run this model: {reason}. Choose --engine transformers.",
    load=_load,
    outlook=_outlook,
)
