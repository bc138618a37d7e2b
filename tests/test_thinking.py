"""Thoughts on both engines: a budget is exact, and a grammar holds the reply alone."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from chat.core.chat import Chat, Update
from chat.core.conversation import rebuild
from chat.core.sampling import Sampling
from chat.load import load
from chat.settings import Settings
from tests.support.thinkers import R1


@pytest.fixture(params=["openvino", "transformers"])
async def chat(request: pytest.FixtureRequest, gguf: Path, tmp_path: Path) -> AsyncGenerator[Chat]:
    """A model that thinks, since its template begins a thought, and never stops by itself."""
    cache = shutil.copytree(gguf.parent, tmp_path / "cache")
    template = tmp_path / "template.jinja"
    template.write_text(R1)
    made = load(
        Settings(
            model=str(gguf),
            engine=request.param,
            cache_dir=cache,
            context_window=256,
            chat_template=str(template),
        )
    )
    yield made
    made.engine.close()


async def replied(chat: Chat, **sampling: Any) -> Update:
    chosen = Sampling(temperature=0, repetition_penalty=1, min_new_tokens=0, **sampling)
    async with aclosing(chat.reply(rebuild([], "hello", ""), chosen)) as updates:
        return [update async for update in updates][-1]


async def test_a_thought_ends_after_its_budget_and_what_it_has_to_fit_is_the_reply(
    chat: Chat,
) -> None:
    assert chat.format.thoughts
    free = await replied(chat, max_new_tokens=30)
    assert (free.text, free.state, free.tokens) == ("", "length", 30)
    short = await replied(chat, max_new_tokens=60, thinking_budget=7)
    assert short.thought
    assert free.thought.startswith(short.thought)
    tied = await replied(chat, max_new_tokens=60, thinking_budget=7, choices=("yes", "no"))
    assert tied.text in ("yes", "no")
    assert tied.thought == short.thought
    # Or a few more, where the seventh ends within a character.
    assert 7 <= short.thought_tokens == tied.thought_tokens < 12
    off = await replied(chat, max_new_tokens=60, thinking="off", choices=("yes", "no"))
    assert (off.text, off.thought) in (("yes", ""), ("no", ""))
