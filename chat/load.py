"""From the settings to a chat that is ready: model, tokenizer, prompt format, engine, gate."""

import ctypes
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import prompts
from chat import space
from chat.core.chat import Chat
from chat.core.engine import Engine
from chat.core.gate import Gate
from chat.core.tokens import FastTokens
from chat.errors import ModelError
from chat.models import ir, locate
from chat.settings import Settings
from prompts import PromptError

#: A tokenizer, and what starts the engine, given the ids that end a reply.
Loaded = tuple[Any, Callable[[Iterable[int]], Engine]]


def load(settings: Settings) -> Chat:
    """Fetch what is missing, load the model in 4 bits, and return the chat with it.

    Raises:
        ModelError: the model cannot be had, or not be used.
    """
    cuda = has_cuda()
    source = locate.locate(settings.model, settings.cache_dir, cuda=cuda)
    tokenizer, start = _loader(settings, source, cuda=cuda)(settings, source)
    try:
        format = prompts.choose(tokenizer, settings.prompt_format, echo=settings.echo)
        plain = prompts.choose(tokenizer, "plain")
        tokens = FastTokens(tokenizer)
    except PromptError as error:
        raise ModelError(str(error)) from None
    engine = start(tokens.stop_ids(format.stop))
    gate = Gate(engine.parallel, settings.max_waiting)
    name = locate.title(settings.model, cuda=cuda)
    return Chat(engine, tokens, format, gate, plain, name, settings.max_new_tokens_limit)


def has_cuda() -> bool:
    """Whether there is a CUDA GPU; without a driver torch, which takes a second, is not asked."""
    if space.zero_gpu():
        return True
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def _loader(settings: Settings, source: Path, *, cuda: bool) -> Callable[[Settings, Path], Loaded]:
    """Return what loads `source`: what was asked for, or what is fastest here."""
    if settings.engine == "transformers" or (settings.engine == "auto" and cuda):
        if (source / "openvino_model.xml").is_file():
            raise ModelError("This is an OpenVINO model, which needs --engine openvino.")
        return _transformers
    reason = ir.refusal(source, settings.cache_dir)
    if not reason:
        return _openvino
    if settings.engine == "openvino":
        raise ModelError(
            f"OpenVINO cannot run this model: {reason}. Choose --engine transformers, "
            "or a GGUF file or an OpenVINO folder."
        )
    if source.is_file():
        print(f"OpenVINO cannot run this model, so transformers does: {reason}", flush=True)
    return _transformers


# Each imports what it needs and the other does not: torch alone takes as long as the rest.


def _openvino(settings: Settings, source: Path) -> Loaded:
    from chat.engines.openvino.engine import OpenVINOEngine

    tokenizer, folder = ir.load(source, settings.cache_dir)

    def start(stop_ids: Iterable[int]) -> Engine:
        engine = OpenVINOEngine(folder, stop_ids, settings.context_window, settings.parallel)
        if engine.parallel > 1:
            print(
                f"Up to {engine.parallel} people are answered at once; the KV cache holds "
                f"{engine.kv_cache_tokens:,} tokens ({engine.kv_cache_bytes / 1e9:.1f} GB)",
                flush=True,
            )
        return engine

    return tokenizer, start


def _transformers(settings: Settings, source: Path) -> Loaded:
    from chat.engines.transformers.engine import TransformersEngine
    from chat.engines.transformers.guide import Guide
    from chat.models import quantize

    kind = TransformersEngine
    if space.zero_gpu():
        from chat.engines.transformers.zero_gpu import ZeroGPUEngine as kind

    tokenizer, model = quantize.load(source, settings.cache_dir)

    def start(stop_ids: Iterable[int]) -> Engine:
        return kind(
            model,
            stop_ids,
            settings.context_window,
            prompt_lookup=settings.prompt_lookup,
            guide=Guide(tokenizer, model.config.get_text_config().vocab_size),
        )

    return tokenizer, start
