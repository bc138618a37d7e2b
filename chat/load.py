"""From the settings to a chat that is ready: model, tokenizer, prompt format, engine, gate."""

import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import prompts
from chat import space
from chat.core.chat import Chat
from chat.core.engine import Engine
from chat.core.gate import Gate
from chat.core.sampling import suited
from chat.core.tokens import FastTokens
from chat.engines.entry import Entry, Loaded
from chat.engines.registry import ENGINES
from chat.errors import ModelError, UnfitModel, printable
from chat.models import driver, locate
from chat.models.heads import Heads
from chat.models.unusable import told_by_system
from chat.settings import Settings
from prompts import PromptError, PromptFormat, templates
from prompts.formats.tooled import Tooled

if TYPE_CHECKING:
    from chat.engines.transformers.decode import Step

EMPTY: Mapping[str, str] = MappingProxyType({})


@told_by_system()
def load(settings: Settings) -> Chat:
    """Fetch what is missing, load the model in 4 bits, and return the chat with it.

    Raises:
        ModelError: the model cannot be had, or not be used.
    """
    cuda = uses_cuda(settings)
    name, source = found(settings, cuda=cuda)
    unfit: dict[str, str] = {}
    while True:
        engine, refusals = choose(settings, source, cuda=cuda, unfit=unfit)
        for other, reason in refusals:
            print(
                f"{other} cannot run this model, so {engine.title} does: {printable(reason)}",
                flush=True,
            )
        try:
            loaded = engine.load(source, settings.cache_dir, settings.context_window, settings)
            return _together(settings, loaded, name, cuda=cuda)
        except UnfitModel as error:
            unfit[engine.title] = str(error)


@told_by_system()
def load_loop(settings: Settings, show: Callable[[int, "Step", str], None]) -> Chat:
    """Return a chat whose engine is the loop of `decode`, written out.

    `show` is called with the number of each step, from 0 on, the step, and its
    token as text, from a thread of the engine.

    Raises:
        ModelError: the model cannot be had, or transformers cannot run it.
    """
    if settings.adapter or settings.assistant_model:
        raise ModelError("--loop shows the model alone, without --adapter and --assistant-model.")
    if settings.engine not in ("auto", "transformers"):
        raise ModelError(
            f"--loop runs on transformers, which shows its KV cache; leave out --engine "
            f"{settings.engine}."
        )
    cuda = uses_cuda(settings)
    source = locate.locate(settings.model, settings.cache_dir, cuda=cuda)
    if ENGINES["transformers"].refusal(source, settings.cache_dir):
        raise ModelError(
            "This is an OpenVINO model, whose KV cache cannot be seen; --loop needs a model "
            "that transformers can load."
        )
    from chat.engines.transformers.cpu import threads
    from chat.engines.transformers.loop import LoopEngine
    from chat.models import quantize

    threads.use(settings.threads)
    tokenizer, model = quantize.tokenizer_and_model(source, settings.cache_dir)

    def start(stop_ids: Iterable[int]) -> Engine:
        return LoopEngine(
            model,
            stop_ids,
            settings.context_window,
            lambda number, step: show(number, step, tokenizer.decode([step.id])),
            settings.watchdog,
        )

    return _together(settings, Loaded(tokenizer, start, {}), settings.model, cuda=cuda)


def has_cuda() -> bool:
    """Whether there is a CUDA GPU; without a driver torch, which takes a second, is not asked.

    Raises:
        ModelError: there is one, and the torch that is installed cannot use it.
    """
    if space.zero_gpu():
        return True
    if not (cuda := driver.library()):
        return False
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is said here in a sentence
        available = torch.cuda.is_available()
    built_for = torch.version.cuda
    why = (
        driver.too_old(cuda, torch.cuda.get_arch_list())
        if available
        else driver.unused(cuda, built_for)
    )
    if why and built_for:
        raise ModelError(why)
    if why:  # who installs a torch for CPUs may want it so
        print(why, flush=True)
    return available


def uses_cuda(settings: Settings) -> bool:
    """Whether there is a CUDA GPU, for the engine that was asked for.

    Raises:
        ModelError: there is one that cannot be used, and the engine would.
    """
    if settings.engine != "auto" and ENGINES[settings.engine].find:
        return False  # it computes elsewhere
    try:
        return has_cuda()
    except ModelError:
        if settings.engine == "auto" or "cuda" in ENGINES[settings.engine].hardware:
            raise
        return False


def found(settings: Settings, *, cuda: bool, heads: Heads | None = None) -> tuple[str, Path]:
    """Return the name of the model, and what the engine needs of it: its weights, for most.

    Raises:
        ModelError: there is no such model, or it cannot be had.
    """
    entry = ENGINES.get(settings.engine)
    if entry and entry.find:
        return entry.find(settings.model, settings.cache_dir, settings)
    if settings.server_url:
        raise ModelError("--server-url is for --engine server, which has to be asked for.")
    return settings.model, locate.locate(settings.model, settings.cache_dir, cuda=cuda, heads=heads)


def choose(
    settings: Settings, source: Path, *, cuda: bool, unfit: Mapping[str, str] = EMPTY
) -> tuple[Entry, list[tuple[str, str]]]:
    """Return what runs `source`: the engine that was asked for, or the first that fits.

    With it come the titles of those before it, and why they do not; `unfit` has those that found
    out while they loaded it.

    Raises:
        ModelError: none does.
    """
    if settings.engine == "auto":
        hardware = "cuda" if cuda else "cpu"
        entries = [entry for entry in ENGINES.values() if hardware in entry.hardware]
    else:
        entries = [ENGINES[settings.engine]]
    refusals: list[tuple[str, str]] = []
    for entry in entries:
        reason = unfit.get(entry.title) or entry.refusal(source, settings.cache_dir)
        if not reason:
            return entry, refusals
        refusals.append((entry.title, reason))
    raise ModelError(entry.refused.format(reason=reason))


class Prompting(NamedTuple):
    """How a model is prompted."""

    format: PromptFormat
    #: Without any format, for texts to continue.
    plain: PromptFormat
    tokens: FastTokens
    #: With tools, if its template knows them.
    tooled: Tooled | None


def prompting(settings: Settings, tokenizer: Any) -> Prompting:
    """Return how the model with this tokenizer is prompted.

    Raises:
        ModelError: not as the settings ask for.
    """
    try:
        templates.use(tokenizer, settings.chat_template)
        format = prompts.choose(tokenizer, settings.prompt_format, echo=settings.echo)
        if settings.thinking == "on" and not format.thoughts:
            raise ModelError(
                "This model does not think before it replies; leave out --thinking on."
            )
        return Prompting(
            format,
            prompts.choose(tokenizer, "plain"),
            FastTokens(tokenizer),
            prompts.tooled(tokenizer),
        )
    except PromptError as error:
        raise ModelError(str(error)) from None


def _together(settings: Settings, loaded: Loaded, name: str, *, cuda: bool) -> Chat:
    try:
        format, plain, tokens, tooled = prompting(settings, loaded.tokenizer)
    except BaseException:
        loaded.close()
        raise
    engine = loaded.start(tokens.stop_ids(format.stop))
    return Chat(
        engine,
        tokens,
        format,
        Gate(engine.parallel, settings.max_waiting),
        plain,
        name=locate.title(name, cuda=cuda),
        longest=settings.max_new_tokens_limit,
        tooled=tooled,
        suited=suited(loaded.generation, thinks=bool(format.thoughts)),
        adapters=loaded.adapters,
    )
