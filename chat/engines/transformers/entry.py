"""What the app knows of this engine before it is loaded."""

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import BaseModel, Field

from chat import space
from chat.core.engine import Engine
from chat.core.sampling import Whole
from chat.engines.entry import Entry, Loaded, Outlook


class TransformersOptions(BaseModel):
    """The settings that are its own."""

    prompt_lookup: Whole = Field(
        0,
        ge=0,
        le=64,
        description="with transformers, how many tokens at a time are guessed from the text so "
        "far when decoding greedily: faster where replies repeat their prompt; 0 is off",
    )


def _refusal(source: Path, cache: Path) -> str | None:
    return "it is an OpenVINO model" if (source / "openvino_model.xml").is_file() else None


def _load(source: Path, cache: Path, window: int, options: TransformersOptions) -> Loaded:
    from chat.engines.transformers.guide import Guide
    from chat.models import quantize

    kind: Callable[..., Engine]
    if space.zero_gpu():
        from chat.engines.transformers.zero_gpu import ZeroGPUEngine as kind
    else:
        from chat.engines.transformers.engine import TransformersEngine as kind

    tokenizer, model = quantize.tokenizer_and_model(source, cache)

    def start(stop_ids: Iterable[int]) -> Engine:
        guide = Guide(tokenizer, model.config.get_text_config().vocab_size)
        return kind(model, stop_ids, window, prompt_lookup=options.prompt_lookup, guide=guide)

    own = model.generation_config
    return Loaded(tokenizer, start, own.to_diff_dict() if own else {})


def _outlook(source: Path, cache: Path, window: int, options: TransformersOptions) -> Outlook:
    from chat.engines.transformers.engine import longest_window
    from chat.models import quantize

    found = quantize.outlook(source, cache)
    return Outlook(
        found.tokenizer,
        found.weights,
        found.memory,
        quantize.free_memory(),
        quantize.kind_of_memory(),
        found.disk,
        longest_window(found.config, window),
        parallel=1,
    )


TRANSFORMERS = Entry(
    title="transformers",
    description="elsewhere",
    hardware=("cpu", "cuda"),
    options=TransformersOptions,
    refusal=_refusal,
    refused="This is an OpenVINO model, which needs --engine openvino.",
    load=_load,
    outlook=_outlook,
)
