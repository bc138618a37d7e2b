"""Adapters on OpenVINO: each reply as the merged model's, beside others and on warm caches too."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, GgufConfig, PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from chat.models import ir, ir_layers
from chat.models.adapters import read
from tests.support import families, lora
from tests.support.aside import built
from tests.support.batches import collect, greedy
from tests.support.gguf_file import without_end
from tests.support.openvino import CLOSE, NEVER, gaps

NAMES = ("none", "tales", "poems")
SETTINGS: dict[str, dict[str, Any]] = {
    "tales": {},
    "poems": {"r": 8, "use_rslora": True, "target_modules": ["q_proj", "v_proj", "down_proj"]},
}


def plain(gguf: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    return model


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("adapters")


@pytest.fixture(scope="module")
def merged(gguf: Path, place: Path) -> dict[str, PreTrainedModel]:
    """The models that there are, in transformers; writes the adapters into `place`."""
    made = {
        name: lora.write(place / name, plain(gguf), seed, **settings)
        for seed, (name, settings) in enumerate(SETTINGS.items())
    }
    return {"none": plain(gguf), **made}


@pytest.fixture(scope="module")
def engine(gguf: Path, place: Path, merged: dict[str, PreTrainedModel]) -> Iterator[OpenVINOEngine]:
    named = without_end(ir.ready(gguf, gguf.parent, fused=False), place / "model")
    layers = ir_layers.layers(named)
    adapters = read(f"{place / 'tales'},none,{place / 'poems'}")
    for adapter in filter(None, adapters.values()):
        ir_layers.check(adapter, layers)
    engine = OpenVINOEngine(named, 4096, 8, EXACT, adapters).start({NEVER})
    yield engine
    engine.close()


def asking(name: str, tokens: int = 20) -> Sampling:
    return greedy(tokens, adapter=name)


def assert_right(model: PreTrainedModel, prompt: list[int], reply: list[int]) -> None:
    assert len(reply) == 20
    assert max(gaps(model, prompt, reply)) < CLOSE


async def test_a_cache_is_never_one_of_another_adapter(
    engine: OpenVINOEngine, merged: dict[str, PreTrainedModel]
) -> None:
    longest = random.Random(0).choices(range(10, 400), k=100)
    for _ in range(2):
        for name in NAMES:
            reply = await collect(engine.generate(longest, asking(name)))
            assert_right(merged[name], longest, reply)
            others = [max(gaps(merged[other], longest, reply)) for other in NAMES if other != name]
            assert min(others) > 1, "the others would have written something else"
            longest = [*longest, *reply, 11, 12]


async def test_replies_of_all_adapters_are_written_side_by_side(
    engine: OpenVINOEngine, merged: dict[str, PreTrainedModel]
) -> None:
    prompt = random.Random(1).choices(range(10, 400), k=90)
    asked = [*NAMES, "", *NAMES, "tales"]
    replies = await asyncio.gather(
        *(collect(engine.generate(prompt, asking(name))) for name in asked)
    )
    for name, reply in zip(asked, replies, strict=True):
        assert_right(merged[name or "tales"], prompt, reply)
        assert reply == replies[asked.index(name or "tales")], "the first is the default one"


async def test_as_many_as_there_may_be_can_use_the_same_adapter(engine: OpenVINOEngine) -> None:
    for name in NAMES:
        prompts = [random.Random(seed).choices(range(10, 400), k=200) for seed in range(8)]
        replies = await asyncio.gather(
            *(collect(engine.generate(prompt, asking(name, 60))) for prompt in prompts)
        )
        assert [len(reply) for reply in replies] == [60] * 8


@pytest.mark.parametrize("family", ["Llama 3.2", "Qwen2", "Qwen3 with biases"])
async def test_folders_that_are_converted_have_adapters_too(family: str, tmp_path: Path) -> None:
    plain = families.save(families.PLAIN[family](), tmp_path / "model")
    built(tmp_path / "model", tmp_path / "ir", "F16", fused=False)
    merged = lora.write(tmp_path / "tales", plain)
    layers = ir_layers.layers(tmp_path / "ir")
    adapters = read(str(tmp_path / "tales"))
    ir_layers.check(adapters["tales"], layers)  # type: ignore[arg-type]
    engine = OpenVINOEngine(tmp_path / "ir", 256, 1, EXACT, adapters).start({NEVER})
    prompt = random.Random(0).choices(range(10, 400), k=60)
    reply = await collect(engine.generate(prompt, asking("tales")))
    engine.close()
    assert max(gaps(merged, prompt, reply)) < CLOSE
