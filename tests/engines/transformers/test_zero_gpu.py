"""The ZeroGPU engine, with a tiny model and a stand-in for the `spaces` package."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import aclosing
from importlib import import_module
from multiprocessing import Value
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
import pytest
import torch
from gradio.context import LocalContext
from gradio_client import Client
from gradio_client.exceptions import AppError
from transformers import PreTrainedModel

from chat.engines.transformers.engine import TransformersEngine
from chat.errors import EngineError, OutOfMemory
from chat.load import load
from chat.settings import Settings
from tests.conftest import Serve
from tests.support import gguf_file
from tests.support.batches import collect, greedy
from tests.support.tiny_models import llama
from tests.support.zero_gpu import Spaces

PROMPT = [5, 6, 7, 8]
NEVER = 1


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spaces]:
    stand_in = Spaces()
    monkeypatch.setitem(sys.modules, "spaces", stand_in)
    monkeypatch.delitem(sys.modules, "chat.engines.transformers.zero_gpu", raising=False)
    yield stand_in
    stand_in.kill()


@pytest.fixture
def module(spaces: Spaces) -> ModuleType:
    return import_module("chat.engines.transformers.zero_gpu")


@pytest.fixture
def read() -> Any:
    """Counts the tokens that the model reads in forked processes."""
    return Value("i", 0)


@pytest.fixture
def model() -> PreTrainedModel:
    return llama()


@pytest.fixture
def engine(module: ModuleType, model: PreTrainedModel, read: Any) -> Any:
    this = os.getpid()

    def count(*_: Any) -> None:
        assert os.getpid() != this
        read.value += 1

    model.lm_head.register_forward_pre_hook(count)
    return module.ZeroGPUEngine(model, {NEVER}, window=512)


async def test_gives_what_transformers_gives_and_computes_in_the_forked_process_alone(
    engine: Any, read: Any, spaces: Spaces
) -> None:
    given = await collect(engine.generate(PROMPT, greedy(30)))
    assert read.value >= 30
    here = TransformersEngine(llama(), {NEVER}, window=512)
    assert given == await collect(here.generate(PROMPT, greedy(30)))
    here.close()
    assert (engine.stop_ids, engine.window, engine.supports) == (
        here.stop_ids,
        here.window,
        here.supports,
    )


async def test_a_process_that_is_used_again_keeps_its_kv_caches(
    engine: Any, spaces: Spaces, read: Any
) -> None:
    first = await collect(engine.generate(PROMPT, greedy(200)))
    process, before = spaces.workers[0].process.pid, read.value
    again = await collect(engine.generate(PROMPT + first, greedy(5)))
    assert spaces.workers[0].process.pid == process
    assert read.value - before < 10
    here = TransformersEngine(llama(), {NEVER}, window=512)
    assert again == await collect(here.generate(PROMPT + first, greedy(5)))
    here.close()


@pytest.mark.slow
async def test_stop_while_it_reads_ends_the_work_too(
    engine: Any, read: Any, model: PreTrainedModel
) -> None:
    slow = Value("i", 1)

    def brake(*_: Any) -> None:
        if slow.value:
            time.sleep(0.1)

    for layer in model.model.layers:
        layer.register_forward_pre_hook(brake)
    async with aclosing(engine.generate(PROMPT, greedy(400))) as batches:
        assert await anext(batches) == []
    await settled(read)
    slow.value = 0
    assert len(await collect(engine.generate(PROMPT, greedy(5)))) == 5


async def settled(read: Any) -> int:
    """Wait until nothing was read for half a second, and return how much there was."""
    seen = -1
    async with asyncio.timeout(20):
        while seen != read.value:
            seen = read.value
            await asyncio.sleep(0.5)
    return seen


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("what somebody wrote"), EngineError),
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
    ],
)
async def test_an_error_in_the_forked_process_is_one_sentence_and_the_next_request_works(
    module: ModuleType, error: Exception, expected: type, capfd: pytest.CaptureFixture[str]
) -> None:
    model, failing = llama(), Value("b", 0)

    def fail(*_: Any) -> None:
        if failing.value:
            raise error

    model.lm_head.register_forward_pre_hook(fail)
    engine = module.ZeroGPUEngine(model, {NEVER}, window=512)
    await collect(engine.generate(PROMPT, greedy(1)))
    failing.value = 1
    with pytest.raises(expected) as caught:
        await collect(engine.generate(PROMPT, greedy(5)))
    assert type(caught.value) is expected
    assert "somebody" not in str(caught.value) + "".join(capfd.readouterr())
    failing.value = 0
    assert len(await collect(engine.generate(PROMPT, greedy(5)))) == 5


async def test_a_model_that_fails_as_it_is_warmed_up_in_the_forked_process_is_one_sentence(
    module: ModuleType, capfd: pytest.CaptureFixture[str]
) -> None:
    model = llama()

    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    model.lm_head.register_forward_pre_hook(fail)
    engine = module.ZeroGPUEngine(model, {NEVER}, window=512)
    for _ in range(2):
        with pytest.raises(OutOfMemory):
            await collect(engine.generate(PROMPT, greedy(5)))
    assert "Traceback" not in "".join(capfd.readouterr())


def test_it_needs_no_page() -> None:
    program = (
        "import sys, types\n"
        "sys.modules['spaces'] = types.ModuleType('spaces')\n"
        "import chat.engines.transformers.zero_gpu\n"
        "sys.exit('gradio' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


async def test_a_gpu_that_is_taken_away_or_not_to_be_had_is_one_sentence(
    engine: Any, model: PreTrainedModel, spaces: Spaces, module: ModuleType, read: Any
) -> None:
    def hold(*_: Any) -> None:
        if read.value > 20:
            threading.Event().wait()  # until the process is killed

    model.register_forward_pre_hook(hold)
    batches = engine.generate(PROMPT, greedy(400))
    while not await anext(batches):
        pass
    spaces.kill()
    with pytest.raises(EngineError, match="ZeroGPU ended this reply"):
        await collect(batches)

    def refuse() -> None:
        raise gr.Error("You have exceeded your quota. Try again in 0:10:00. ", title="ZeroGPU")

    spaces.schedule = refuse
    with pytest.raises(EngineError, match=r"^You have exceeded your quota\. .* 0:10:00\.$"):
        await collect(engine.generate(PROMPT, greedy(5)))


async def test_what_is_asked_for_follows_prompt_reply_and_guidance(
    engine: Any, spaces: Spaces
) -> None:
    away = greedy(300).model_copy(update={"negative_prompt": "x", "guidance_scale": 1.5})
    await collect(engine.generate(PROMPT, greedy(1)))
    await collect(engine.generate(PROMPT, greedy(300)))
    await collect(engine.generate(PROMPT, away, [6, 7]))
    short, long, guided = spaces.seconds
    assert 4 < short <= long <= guided < 120


async def test_who_has_all_of_the_smallest_quota_may_ask_for_anything(
    engine: Any, spaces: Spaces
) -> None:
    spaces.left = 120
    assert len(await collect(engine.generate(PROMPT, greedy(500)))) == 500


async def test_a_quota_that_is_short_for_a_long_reply_does_for_a_short_one(
    engine: Any, spaces: Spaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces.left = 20
    assert len(await collect(engine.generate(PROMPT, greedy(5)))) == 5
    sentence = r"\(\d+s requested vs\. 20s left\)\. Try again in 0:10:00\. A reply of fewer tokens"
    with pytest.raises(EngineError, match=sentence):
        await collect(engine.generate(PROMPT, greedy(9000)))
    spaces.left = 0
    with pytest.raises(EngineError, match=r"vs\. 0s left\)\. Try again in 0:10:00\.$"):
        await collect(engine.generate(PROMPT, greedy(5)))


async def test_without_what_spaces_says_of_its_gpus_it_asks_for_whole_seconds(
    spaces: Spaces, module: ModuleType, model: PreTrainedModel
) -> None:
    with_terms = module.ZeroGPUEngine(model, {NEVER}, window=512)
    del spaces.zero
    without = module.ZeroGPUEngine(model, {NEVER}, window=512)
    for engine in (with_terms, without):
        await collect(engine.generate(PROMPT, greedy(5)))
    assert spaces.seconds[0] < spaces.seconds[1] <= 1.5 * (spaces.seconds[0] + 1)


def test_the_gpu_is_asked_for_in_the_name_of_whoever_sent_the_message(
    serve: Serve, engine: Any, spaces: Spaces
) -> None:
    tokens: list[str] = []
    spaces.schedule = lambda: tokens.append(LocalContext.request.get().headers["x-ip-token"])
    url = serve(engine)
    for name in ("ann", "bob"):
        client = Client(url, headers={"X-IP-Token": name}, verbose=False, analytics_enabled=False)
        given = client.predict("Hi", temperature=0, max_new_tokens=5, api_name="/chat")
        assert given[1].startswith("Cut off at the length limit: 5 tokens")
    assert tokens == ["ann", "bob"]


def test_what_zerogpu_says_of_a_quota_reaches_the_page(
    serve: Serve, engine: Any, spaces: Spaces
) -> None:
    def refuse() -> None:
        raise gr.Error("You have exceeded your quota.", title="ZeroGPU quota exceeded")

    spaces.schedule = refuse
    client = Client(serve(engine), verbose=False, analytics_enabled=False)
    with pytest.raises(AppError, match=r"You have exceeded your quota\."):
        client.predict("Hi", api_name="/chat")


def test_a_zerogpu_space_loads_its_model_for_this_engine(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    file = gguf_file.write(tmp_path / "tiny.gguf")
    engine = load(Settings(model=str(file), cache_dir=tmp_path, context_window=256)).engine
    assert isinstance(engine, module.ZeroGPUEngine)
    assert "regex" in engine.supports
