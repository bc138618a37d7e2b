"""A model made ready for an engine: what ends it, how long it reads, and what makes it quick."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from chat.engines.transformers.attention import use_packed_attention
from chat.engines.transformers.cpu.linear import call_kernels_directly
from chat.engines.transformers.cpu.threads import decoding_threads
from chat.engines.transformers.worker import readable
from chat.errors import ModelError

#: Tokens that a GPU reads so quickly that their reading need not be ended in between.
AT_ONCE = 256


def limits(
    model: PreTrainedModel, stop_ids: Iterable[int], window: int
) -> tuple[frozenset[int], int]:
    """Return the ids that end a reply of `model`, its own too, and the window it can have."""
    eos = model.generation_config.eos_token_id if model.generation_config else None
    own: list[int | None] = eos if isinstance(eos, list) else [eos]
    stops = frozenset([*stop_ids, *(id for id in own if id is not None)])
    return stops, longest_window(model.config, window)


def longest_window(config: PreTrainedConfig, window: int) -> int:
    """Return `window`, or what a model was trained for if that is less."""
    return min(window, getattr(config.get_text_config(), "max_position_embeddings", window))


def prepare(
    model: PreTrainedModel,
    check: Callable[..., None],
    decode: Callable[[int, int], None],
    beside: Sequence[PreTrainedModel] = (),
) -> int:
    """Make `model` quick, and warm it up; return with how many threads it decodes best.

    Those `beside` it, which take part in that, are made as quick.

    `check` is called before each of its layers, so that it can end the reading of
    a long prompt, which is one forward pass. `decode(tokens, threads)` decodes so
    many tokens with so many threads.

    Raises:
        ModelError: what it computes are no numbers.
        EngineError: the model failed.
    """
    models = [model, *beside]
    for one in models:
        use_packed_attention(one)
        _check_between_layers(one, check)
    threads = torch.get_num_threads()
    watching = model.register_forward_hook(_require_numbers)
    try:
        decode(2, threads)  # bitsandbytes packs its weights in the first pass, without a lock
        watching.remove()
        if model.device.type != "cpu":
            return threads
        for one in models:
            call_kernels_directly(one)
        return decoding_threads(threads, decode)
    except ModelError:
        raise
    except Exception as caught:
        raise readable(caught) from None
    finally:
        torch.set_num_threads(threads)


def _check_between_layers(model: PreTrainedModel, check: Callable[..., None]) -> None:
    on_gpu = model.device.type == "cuda"

    def before(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        # A GPU is only given its work here, for all layers within a moment, and is busy with a
        # long prompt for seconds: to end that in between, each waits for the layer before it.
        if on_gpu and _tokens(*given, *named.values()) > AT_ONCE:
            torch.cuda.current_stream(model.device).synchronize()
        check()

    for module in model.modules():
        if isinstance(module, nn.ModuleList):
            for layer in module:
                layer.register_forward_pre_hook(before, with_kwargs=True)


def _tokens(*given: Any) -> int:
    """Return how many tokens a layer is given: its first tensor is [.., tokens, hidden size]."""
    states = next((one for one in given if isinstance(one, Tensor) and one.ndim > 1), None)
    return 0 if states is None else states.shape[-2]


def _require_numbers(_: nn.Module, __: object, output: Any) -> None:
    require_numbers(output.logits)


def require_ids(model: PreTrainedModel, *texts: Sequence[int]) -> None:
    """Raise IndexError if there is an id that `model` cannot read: a GPU would be lost with it."""
    embedding = model.get_input_embeddings()
    known: int = embedding.num_embeddings  # type: ignore[assignment]
    if any(text and not 0 <= min(text) <= max(text) < known for text in texts):
        raise IndexError


def require_numbers(logits: torch.Tensor) -> None:
    """Raise ModelError if scores overflow, as they do in float16 where a model needs bfloat16."""
    if (logits < torch.inf).all():  # which is false of what is not a number
        return
    if logits.dtype == torch.float16:
        raise ModelError("This model needs bfloat16, which this GPU lacks.")
    raise ModelError("This model computes no numbers: its weights are damaged.")
