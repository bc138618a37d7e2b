"""Whether and how a model would run here, said before it is downloaded or loaded.

    python app.py --check owner/name

All is asked of what the loading asks: the refusals, the sizes, the formats. Of what is on the hub
it sees files with holes (`chat.models.heads`). Whether an adapter fits the layers is not known
before they are converted.
"""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import transformers
from huggingface_hub.constants import HF_HUB_CACHE
from huggingface_hub.utils.tqdm import disable_progress_bars

from chat import load
from chat.engines.entry import Entry, same_vocabulary
from chat.engines.registry import ENGINES
from chat.errors import UNEXPECTED, ChatError, ModelError, describe, printable
from chat.models import adapters, embedded, locate, parts
from chat.models.heads import Heads
from chat.models.memory import require
from chat.models.unusable import told_by_system
from chat.settings import Settings

log = logging.getLogger(__name__)


def check(settings: Settings) -> int:
    """Print how the model `settings.check` would run; return 0, or 1 if it would not."""
    disable_progress_bars()
    transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    chosen = settings.model_copy(update={"model": settings.check})
    try:
        with tempfile.TemporaryDirectory() as scratch, told_by_system():
            _say(chosen, Heads(Path(scratch)))
    except ChatError as error:
        _line("runs", f"no: {error}")
        return 1
    except Exception as error:
        log.error("%s", describe(error))
        _line("runs", f"no: {UNEXPECTED}")
        return 1
    _line("runs", "yes")
    return 0


def _say(settings: Settings, heads: Heads) -> None:
    """Print what is known, a line at a time; raise ChatError for what stands against it."""
    cuda = load.uses_cuda(settings)
    needs_weights = settings.engine == "auto" or not ENGINES[settings.engine].find
    if needs_weights:
        _line("model", locate.title(settings.model, cuda=cuda))
        if settings.adapter:
            _line("adapters", ", ".join(adapters.read(settings.adapter, heads)))
    if needs_weights and locate.is_to_fetch(settings.model, settings.cache_dir, cuda=cuda):
        _disk(("to download", embedded.WHEEL_BYTES, settings.cache_dir))
        return
    name, source = load.found(settings, cuda=cuda, heads=heads)
    if not needs_weights:
        _line("model", locate.title(name, cuda=cuda))
    engine, refusals = load.choose(settings, source, cuda=cuda)
    _line("engine", engine.title)
    for title, reason in refusals:
        _line(f"not {title}", reason)
    found = engine.outlook(source, settings.cache_dir, settings.context_window, settings)
    _line("weights", found.weights)
    prompting = load.prompting(settings, found.tokenizer)
    name = prompting.format.name
    _line("chat template", TEMPLATES.get(name, f"recognised, as {name}"))
    _line("reasoning", "no" if prompting.format.thoughts is None else "yes")
    _line("tools", "no" if prompting.tooled is None else "yes")
    if settings.assistant_model:
        _line("assistant", locate.title(settings.assistant_model, cuda=False))
        _require_assistant(settings, engine, found.tokenizer, heads)
    if found.settings:
        _line("settings", found.settings)
    _line("window", f"{found.window:,} tokens")
    _line("people at once", str(found.parallel))
    if needs_weights:
        needed = f"{_gb(found.memory)} needed, {_gb(found.free_memory)} free"
        _line(found.kind_of_memory, needed)
    if found.gpus > 1:
        _line("GPUs", f"{found.gpus}, in turn, since one has no room for it")
    if found.cache_tokens:
        room = f"room for {found.cache_tokens:,} tokens of conversation"
        size = _gb(found.cache_tokens * found.token_bytes)
        _line("KV cache", f"{size} beside {_gb(found.size)} of weights, {room}")
    joined = (
        source.stat().st_size if needs_weights and _is_to_join(settings.model, source, heads) else 0
    )
    _disk(
        ("to download", heads.missing_bytes, Path(HF_HUB_CACHE)),
        ("to convert", found.disk + joined, settings.cache_dir),
    )
    require(found.memory, found.free_memory, found.kind_of_memory)


def _require_assistant(settings: Settings, engine: Entry, tokenizer: Any, heads: Heads) -> None:
    """Raise ModelError if the assistant model is not there, or has another vocabulary."""
    name, cache = settings.assistant_model, settings.cache_dir
    if locate.is_to_fetch(name, cache, cuda=False):
        return
    source = locate.locate(name, cache, cuda=False, heads=heads)
    reason = engine.refusal(source, cache) if engine is ENGINES["openvino"] else None
    if reason:
        raise ModelError(f"OpenVINO cannot run the assistant model: {reason}.")
    found = engine.outlook(source, cache, settings.context_window, settings)
    same_vocabulary(tokenizer, found.tokenizer)


#: What a prompt format is called here, where its name says too little.
TEMPLATES = {
    "template": "recognised, its own",
    "plain": "not recognised, so that it continues texts",
}


def _disk(*needs: tuple[str, float, Path]) -> None:
    """Print the disk space for one thing after another; raise ModelError if it is not there."""
    left: dict[int, float] = {}  # by the disk, which may be the same one
    for why, needed, where in needs:
        if needed:
            there = next(folder for folder in (where, *where.parents) if folder.is_dir())
            disk = there.stat().st_dev
            then = " then" * (disk in left)
            free = left.get(disk, shutil.disk_usage(there).free)
            _line("disk space", f"{_gb(needed)} {why}, {_gb(free)} free{then}")
            require(needed, free, "disk space")
            left[disk] = free - needed


def _is_to_join(name: str, source: Path, heads: Heads) -> bool:
    """Return whether a GGUF file that is in parts has not been joined yet."""
    last = name.rpartition(":")[2].rpartition("/")[2]
    return source.is_file() and len(parts.parts(last)) > 1 and heads.folder in source.parents


def _line(name: str, value: str) -> None:
    print(f"{name:<15} {printable(value)}", flush=True)


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
