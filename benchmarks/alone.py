"""Importing, loading and running the model without the web server, in a process of its own.

    python -m benchmarks.alone '{"users": [1, 8], "tokens": 200}' [flags of the app]

Imports what the app imports, loads the model as the app does, and lets people
iterate the engine: what is lost between this and the page is the server's. The
last line is a JSON object of figures.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import drawn, figures, jobs, processes, scenarios
from benchmarks.figures import Figures, Reply

if TYPE_CHECKING:
    from chat.core.chat import Chat
    from chat.core.sampling import Sampling


def start(users: tuple[int, ...], tokens: int, tokenizer: Path, flags: list[str]) -> Figures:
    """Run this in a process of its own; writes the model's tokenizer to a file, for counting.

    Raises:
        RuntimeError: it failed.
    """
    job = {"users": users, "tokens": tokens, "tokenizer": str(tokenizer)}
    # All processes of a machine have the same monotonic clock, so this counts Python's start too.
    return dict(jobs.start("alone", {**job, "began": time.monotonic()}, flags))


def main(job: dict[str, Any], flags: list[str]) -> Figures:
    """Import, load, run; return the figures of each."""
    from chat.settings import read

    began = job.get("began") or time.monotonic()
    settings = read(flags)
    from chat.load import load
    from chat.web import serve  # noqa: F401 - what the app imports

    imported, imported_mb = time.monotonic() - began, processes.pss(os.getpid())
    chat = load(settings)
    loaded = time.monotonic() - began - imported
    pool = getattr(chat.engine, "kv_cache_bytes", None)
    found: Figures = {
        "imports_s": imported,
        "load_s": loaded,
        "imports_and_load_s": imported + loaded,
        "imports_mb": imported_mb,
        "weights_file_mb": weights(settings.model, settings.cache_dir) / processes.MB,
        "kv_cache_mb": None if pool is None else pool / processes.MB,
        "parallel": chat.engine.parallel,
        "window": chat.engine.window,
    }
    if file := job.get("tokenizer"):
        chat.tokens.backend.save(file)  # type: ignore[attr-defined]
    asyncio.run(together(chat, 1, 8))  # the first reply of an engine warms it up
    for count in job["users"]:
        measured = asyncio.run(together(chat, count, job["tokens"]))
        found |= figures.named(f"users_{count}", measured)
    found["peak_rss_mb"] = processes.peak_rss(os.getpid())
    found["peak_pss_mb"] = processes.pss(os.getpid())
    chat.engine.close()
    return found


async def together(chat: "Chat", users: int, tokens: int) -> Figures:
    """Measure so many people at once; the engine writes `parallel` replies, the others wait."""
    free = asyncio.Semaphore(chat.engine.parallel)

    async def answer(user: int) -> Reply:
        system, chosen = as_the_page(drawn.controls(tokens, user + 1))
        question = scenarios.marked(scenarios.story_of(user, users), users, user, tokens)
        prompt = scenarios.prompt(chat, question, tokens, system)
        sent, updates, written = time.perf_counter(), [], 0
        async with free, aclosing(chat.engine.generate(prompt, chosen)) as batches:
            async for ids in batches:
                written += sum(id not in chat.engine.stop_ids for id in ids)
                if ids and written:
                    updates.append((time.perf_counter(), written))
        return Reply(sent, updates)

    before = processes.cpu_seconds(os.getpid())
    replies = await asyncio.gather(*map(answer, range(users)))
    return figures.together(replies, processes.cpu_seconds(os.getpid()) - before, None)


def as_the_page(controls: dict[str, Any]) -> tuple[str, "Sampling"]:
    """Return the system prompt and the sampling that a page has with these controls."""
    from chat.core.sampling import Sampling

    fields = {str(field.title): name for name, field in Sampling.model_fields.items()}
    system = controls.pop("System prompt")
    return system, Sampling(**{fields[label]: value for label, value in controls.items()})


def weights(model: str, cache: Path) -> int:
    """Return the size of the model's weights as they came."""
    from chat.load import has_cuda
    from chat.models import locate

    source = locate.locate(model, cache, cuda=has_cuda())
    if source.is_file():
        return source.stat().st_size
    files = [*source.glob("*.safetensors")] or [*source.glob("*.bin")]
    return sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]), sys.argv[2:])))
