"""`--threads`: no engine computes with more than that."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from chat import machine
from chat.core.sampling import Sampling
from chat.engines.batched import loading
from chat.engines.batched.wire import Plan
from chat.errors import SettingsError
from chat.load import load, load_loop
from chat.settings import Settings, read
from tests.support import tiny_models
from tests.support.batches import collect
from tests.support.tiny import chatml_tokenizer

PROMPT = list(range(3, 60))
LONG = Sampling(max_new_tokens=100, min_new_tokens=100, temperature=0)


@pytest.fixture
def used() -> Iterator[set[int]]:
    """With how many threads torch has computed."""
    before, used = torch.get_num_threads(), set[int]()
    hook = register_module_forward_pre_hook(lambda *_: used.add(torch.get_num_threads()))
    yield used
    hook.remove()
    torch.set_num_threads(before)


@pytest.mark.parametrize("loop", [False, True])
async def test_transformers_reads_and_writes_with_so_many(
    gguf: Path, used: set[int], loop: bool
) -> None:
    chosen = Settings(model=str(gguf), cache_dir=gguf.parent, engine="transformers", threads=3)
    chat = load_loop(chosen, lambda *_: None) if loop else load(chosen)
    await collect(chat.engine.generate(PROMPT, Sampling(max_new_tokens=3)))
    chat.engine.close()
    assert max(used) == 3


def tiny(source: Path, cache: Path) -> tuple[Any, Any]:
    return chatml_tokenizer(), tiny_models.llama()


def test_so_does_the_batched_engine(used: set[int]) -> None:
    plan = Plan(Path(), Path(), 512, loader=f"{__name__}:tiny", threads=3)
    loading.load(plan)
    assert max(used) == 3


def test_all_is_what_a_container_has(monkeypatch: pytest.MonkeyPatch, used: set[int]) -> None:
    monkeypatch.setattr(machine, "quota", lambda: 3)
    loading.load(Plan(Path(), Path(), 512, loader=f"{__name__}:tiny"))
    assert max(used) == 3


async def test_openvino_leaves_the_other_cores_alone(embedded_model: Path) -> None:
    chosen = Settings(model="embedded", engine="openvino", threads=1)
    before = {child.pid for child in psutil.Process().children()}
    chat = load(chosen)
    (child,) = (
        one
        for one in psutil.Process().children()
        if one.pid not in before and "openvino.batcher" in " ".join(one.cmdline())
    )

    def seconds() -> dict[int, float]:
        return {thread.id: thread.user_time for thread in child.threads()}

    begun = seconds()
    await collect(chat.engine.generate(PROMPT, LONG))
    spent = sorted(now - begun.get(id, 0.0) for id, now in seconds().items())
    chat.engine.close()
    assert spent[-1] > 0.9 * sum(spent)


@pytest.mark.parametrize("threads", ["0", "2000", "few", "1.5"])
def test_nonsense_is_refused_by_name(threads: str) -> None:
    with pytest.raises(SettingsError, match="--threads"):
        read(["--threads", threads])


def test_auto_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHAT_THREADS")
    assert read([]).threads == "auto"
    assert read(["--threads", "2"]).threads == 2
