"""A model whose layers are on several devices, each of which is the CPU here: the same replies."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import dispatch_model
from transformers import PreTrainedModel

from chat.core.sampling import Sampling
from chat.engines.transformers.engine import TransformersEngine
from chat.models import cards, checkpoint, quantize
from tests.support import families
from tests.support.cards import cards as with_cards
from tests.support.families import OTHERS, PLAIN

PROMPT = [5, 6, 7, 8, 9]
FAMILIES = {
    "Qwen3, tied": PLAIN["Qwen3, tied"],
    "Mistral with a window": OTHERS["Mistral with a window"][0],
}


async def collect(engine: TransformersEngine, prompt: list[int], **sampling: Any) -> list[int]:
    chosen = Sampling(**{"max_new_tokens": 20, "temperature": 0, **sampling})
    return [id async for ids in engine.generate(prompt, chosen) for id in ids]


@pytest.fixture(params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    families.save(FAMILIES[request.param](), tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def divided(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PreTrainedModel:
    """The model by parts, each of which has the hooks that it would have on a GPU of its own."""

    def device_map(needed: float, empty: Any) -> dict[str, int | str]:
        with with_cards(needed * 0.8, needed * 0.8):
            found = on_cards(needed, empty)
        assert set(found.values()) == {0, 1}
        parts.update(found)
        return dict.fromkeys(found, "cpu")

    parts: dict[str, int | str] = {}
    on_cards = cards.device_map
    monkeypatch.setattr(cards, "device_map", device_map)
    model = quantize.tokenizer_and_model(folder, tmp_path)[1]
    on_cpu = dict.fromkeys(parts, "cpu")
    skipped = model._skip_keys_device_placement
    dispatched: PreTrainedModel = dispatch_model(model, on_cpu, force_hooks=True, skip_keys=skipped)
    assert all(hasattr(dispatched.get_submodule(name), "_hf_hook") for name in parts)
    return dispatched


@pytest.fixture
def engines(
    folder: Path, tmp_path: Path, divided: PreTrainedModel
) -> Iterator[tuple[TransformersEngine, TransformersEngine]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cards, "device_map", lambda *_: {"": "cpu"})
        whole = quantize.tokenizer_and_model(folder, tmp_path)[1]
    assert checkpoint.nf4_bytes(whole) == checkpoint.nf4_bytes(divided)
    with torch.inference_mode():
        both = TransformersEngine(whole, {1}, 512), TransformersEngine(divided, {1}, 512)
    yield both
    for engine in both:
        engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1, "seed": 7}, {"logprobs": True}])
async def test_replies_and_those_that_go_on_from_kept_caches_are_the_same(
    engines: tuple[TransformersEngine, TransformersEngine], sampling: dict[str, Any]
) -> None:
    whole, parts = engines
    first = await collect(whole, PROMPT, **sampling)
    assert len(set(first)) > 1
    assert await collect(parts, PROMPT, **sampling) == first
    again = [*PROMPT, *first, 11, 12]
    assert await collect(parts, again, **sampling) == await collect(whole, again, **sampling)
