"""Adapters on the transformers engine: each reply as the merged model's, on warm caches too."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.transformers.engine import TransformersEngine
from chat.models.adapters import read
from chat.models.lora import Lora
from tests.engines.transformers.test_engine import NEVER
from tests.engines.transformers.test_engine_turns import LENGTH, PROMPT, cold
from tests.support import lora, tiny_models
from tests.support.batches import collect, greedy

NAMES = ("none", "tales", "poems")


@pytest.fixture(scope="module")
def merged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PreTrainedModel]:
    place = tmp_path_factory.mktemp("adapters")
    made = {
        name: lora.write(place / name, tiny_models.llama(), seed)
        for seed, name in enumerate(NAMES[1:])
    }
    return {"none": tiny_models.llama(), **made}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two adapters."""
    place = tmp_path_factory.mktemp("adapters")
    for seed, name in enumerate(NAMES[1:]):
        lora.write(place / name, tiny_models.llama(), seed)
    return place


@pytest.fixture
def engine(place: Path) -> Iterator[TransformersEngine]:
    model = tiny_models.llama()
    adapters = Lora(model, read(f"{place / 'tales'},{place / 'poems'},none"))
    engine = TransformersEngine(model, {NEVER}, 512, lora=adapters)
    yield engine
    engine.close()


def asking(name: str) -> Sampling:
    return greedy(LENGTH).model_copy(update={"adapter": name})


def right(merged: dict[str, PreTrainedModel], name: str, prompt: list[int]) -> list[int]:
    return cold(lambda: merged[name], prompt)


async def test_a_cache_is_never_one_of_another_adapter(
    engine: TransformersEngine, merged: dict[str, PreTrainedModel]
) -> None:
    assert len({tuple(right(merged, name, PROMPT)) for name in NAMES}) == 3
    prompts = dict.fromkeys(NAMES, PROMPT)
    for _ in range(3):
        for name in NAMES:
            reply = await collect(engine.generate(prompts[name], asking(name)))
            assert reply == right(merged, name, prompts[name])
            # The longest text that any of them has read, which the next one has not.
            longest = [*prompts[name], *reply, 11, 12]
            prompts = dict.fromkeys(NAMES, longest)


async def test_the_same_adapter_does_not_read_again(engine: TransformersEngine) -> None:
    read: list[int] = []
    engine._model.register_forward_pre_hook(
        lambda _, __, inputs: read.append(inputs["input_ids"].shape[1]), with_kwargs=True
    )
    for name, first in (("tales", 30), ("poems", 30), ("tales", 1), ("none", 30), ("", 1)):
        read.clear()
        await collect(engine.generate(PROMPT, asking(name)))
        assert read[0] == first, name


async def test_whoever_names_none_gets_the_first(
    engine: TransformersEngine, merged: dict[str, PreTrainedModel]
) -> None:
    for name in ("poems", "", "none", ""):
        reply = await collect(engine.generate(PROMPT, asking(name)))
        assert reply == right(merged, name or "tales", PROMPT)
