"""From the settings to a chat that is ready: model, tokenizer, prompt format, engine, gate."""

import ctypes
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import prompts
from chat import space
from chat.core.chat import Chat
from chat.core.engine import Engine
from chat.core.gate import Gate
from chat.core.tokens import FastTokens
from chat.engines.entry import Entry, Loaded
from chat.engines.registry import ENGINES
from chat.errors import ModelError
from chat.models import locate
from chat.settings import Settings
from prompts import PromptError, templates

if TYPE_CHECKING:
    from chat.engines.transformers.decode import Step


def load(settings: Settings) -> Chat:
    """Fetch what is missing, load the model in 4 bits, and return the chat with it.

    Raises:
        ModelError: the model cannot be had, or not be used.
    """
    cuda = has_cuda()
    source = locate.locate(settings.model, settings.cache_dir, cuda=cuda)
    engine = _engine(settings, source, cuda=cuda)
    loaded = engine.load(source, settings.cache_dir, settings.context_window, settings)
    return _together(settings, loaded, cuda=cuda)


def load_loop(settings: Settings, show: Callable[[int, "Step", str], None]) -> Chat:
    """Return a chat whose engine is the loop of `decode`, written out.

    `show` is called with the number of each step, from 0 on, the step, and its
    token as text, from a thread of the engine.

    Raises:
        ModelError: the model cannot be had, or transformers cannot run it.
    """
    cuda = has_cuda()
    source = locate.locate(settings.model, settings.cache_dir, cuda=cuda)
    unfit = ENGINES["transformers"].refusal(source, settings.cache_dir)
    if settings.adapter or settings.assistant_model:
        raise ModelError("--loop shows the model alone, without --adapter and --assistant-model.")
    if unfit or settings.engine not in ("auto", "transformers"):
        raise ModelError(
            "OpenVINO keeps its KV cache to itself; --loop needs a model that transformers can "
            "load, and no --engine openvino."
        )
    from chat.engines.transformers.loop import LoopEngine
    from chat.models import quantize

    tokenizer, model = quantize.tokenizer_and_model(source, settings.cache_dir)

    def start(stop_ids: Iterable[int]) -> Engine:
        return LoopEngine(
            model,
            stop_ids,
            settings.context_window,
            lambda number, step: show(number, step, tokenizer.decode([step.id])),
        )

    return _together(settings, Loaded(tokenizer, start, {}), cuda=cuda)


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


def _engine(settings: Settings, source: Path, *, cuda: bool) -> Entry:
    """Return what runs `source`: the engine that was asked for, or the first that fits."""
    if settings.engine == "auto":
        hardware = "cuda" if cuda else "cpu"
        entries = [entry for entry in ENGINES.values() if hardware in entry.hardware]
    else:
        entries = [ENGINES[settings.engine]]
    for entry, following in zip_longest(entries, entries[1:]):
        reason = entry.refusal(source, settings.cache_dir)
        if not reason:
            break
        if not following:
            raise ModelError(entry.refused.format(reason=reason))
        if source.is_file():
            print(
                f"{entry.title} cannot run this model, so {following.title} does: {reason}",
                flush=True,
            )
    return entry


def _together(settings: Settings, loaded: Loaded, *, cuda: bool) -> Chat:
    tokenizer = loaded.tokenizer
    try:
        templates.use(tokenizer, settings.chat_template)
        format = prompts.choose(tokenizer, settings.prompt_format, echo=settings.echo)
        plain = prompts.choose(tokenizer, "plain")
        tokens = FastTokens(tokenizer)
        tooled = prompts.tooled(tokenizer)
    except PromptError as error:
        raise ModelError(str(error)) from None
    engine = loaded.start(tokens.stop_ids(format.stop))
    gate = Gate(engine.parallel, settings.max_waiting)
    name = locate.title(settings.model, cuda=cuda)
    longest = settings.max_new_tokens_limit
    return Chat(engine, tokens, format, gate, plain, name, longest, tooled, loaded.adapters)
