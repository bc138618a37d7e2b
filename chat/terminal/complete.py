"""Completion: a model continues a text, through `Chat.reply` and the format `plain`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import prompts
from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.gate import Gate
from chat.core.tokens import FastTokens
from chat.errors import BadRequest, ModelError
from chat.load import has_cuda, load
from chat.models import locate
from chat.settings import Settings
from chat.terminal.console import Console

if TYPE_CHECKING:
    from chat.engines.transformers.decode import Step


def complete(text: str, settings: Settings, console: Console, *, loop: bool) -> None:
    """Write how the model goes on after `text`; with `loop`, show each step of it.

    Raises:
        ChatError: it cannot.
    """
    if not text.strip():
        raise BadRequest("There is no text to continue.")
    plain = settings.model_copy(update={"prompt_format": "plain", "parallel": 1})
    with console.aside():
        chat = _load_loop(plain, console) if loop else load(plain)
    updates = chat.reply(rebuild([], text, ""), plain.sampling())
    try:
        # The steps come first: text in between would tear their lines apart.
        asyncio.run(console.stream(_last(updates) if loop else updates))
    finally:
        chat.engine.close()


async def _last(updates: AsyncGenerator[Update]) -> AsyncGenerator[Update]:
    async with aclosing(updates):
        async for update in updates:
            last = update
    yield last


def _load_loop(settings: Settings, console: Console) -> Chat:
    """Load the model as `chat.load` does for transformers, with a `LoopEngine` around it."""
    source = locate.locate(settings.model, settings.cache_dir, cuda=has_cuda())
    if settings.engine == "openvino" or (source / "openvino_model.xml").is_file():
        raise ModelError(
            "OpenVINO keeps its KV cache to itself; --loop needs a model that transformers can "
            "load, and no --engine openvino."
        )
    from chat.engines.transformers.loop import LoopEngine
    from chat.models import quantize

    tokenizer, model = quantize.load(source, settings.cache_dir)
    format = prompts.choose(tokenizer, settings.prompt_format, echo=settings.echo)
    tokens = FastTokens(tokenizer)

    def show(number: int, step: "Step") -> None:
        phase = f"decode {number}" if number else "prefill"
        cache = f"{step.layers} layers of {list(step.cache)}"
        text = tokens.show([step.id])
        console.note(f"{phase}: input {list(step.input)} -> cache {cache} -> {text!r}")

    engine = LoopEngine(model, tokens.stop_ids(format.stop), settings.context_window, show)
    gate = Gate(engine.parallel, settings.max_waiting)
    return Chat(engine, tokens, format, gate, longest=settings.max_new_tokens_limit)
