"""Models of each family that people name, in 4 bits: the same tokens in whatever way they come.

All are loaded as the app loads them, from files, but computed in float32, and greedy; token
by token they say what a plain `model.generate` says.
"""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from torch import nn
from transformers import GenerationConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from chat.engines.transformers.engine import TransformersEngine
from chat.engines.transformers.loop import LoopEngine
from chat.errors import ModelError
from chat.models import quantize
from tests.engines.transformers.test_engine import until_idle
from tests.support import tiny_models
from tests.support.batches import collect, greedy
from tests.support.tiny import chatml_tokenizer

#: Longer than the window of those that have one.
PROMPT = [3 + (7 * place) % 101 for place in range(30)]
LENGTH = 12
#: Read each prompt whole: their state cannot be cut, or their keys follow the length of a text.
FORGETFUL = {"phi-3-long", "lfm2", "qwen3-next", "mamba"}


class Family:
    """A model of one family in files."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder
        self.tokenizer = chatml_tokenizer()
        #: As the only stop id: one that no reply here has.
        self.never = len(self.tokenizer) - 1
        model = tiny_models.family(name, len(self.tokenizer))
        with torch.no_grad():
            model.lm_head.weight[self.never] = 0
        model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        self._plain = self.load()

    def load(self) -> PreTrainedModel:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(quantize, "compute_dtype", lambda: torch.float32)
            return quantize.tokenizer_and_model(self._folder, self._folder)[1]

    def cold(self, prompt: list[int], tokens: int = LENGTH) -> list[int]:
        """Return what `model.generate` says alone."""
        ids = torch.tensor([prompt], device=self._plain.device)
        config = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
        whole = self._plain.generate(
            ids, attention_mask=torch.ones_like(ids), generation_config=config
        )
        return whole[0, len(prompt) :].tolist()


@pytest.fixture(scope="module", params=tiny_models.FAMILIES)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return Family(request.param, tmp_path_factory.mktemp(request.param))


class Running:
    """An engine for a family, and how many tokens its model has read in each pass."""

    def __init__(self, family: Family, **options: Any) -> None:
        model = family.load()
        self.engine = TransformersEngine(model, {family.never}, window=512, **options)
        self.read: list[int] = []
        model.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, _: Any, __: Any, inputs: dict[str, Any]) -> None:
        self.read.append(inputs["input_ids"].shape[1])

    async def reply(self, prompt: list[int]) -> list[int]:
        self.read.clear()
        return await collect(self.engine.generate(prompt, greedy(LENGTH)))


@pytest.fixture(params=[0, 5], ids=["plain", "prompt lookup"])
def running(family: Family, request: pytest.FixtureRequest) -> Iterator[Running]:
    run = Running(family, prompt_lookup=request.param)
    yield run
    run.engine.close()


async def test_turns_on_a_warm_cache_say_what_generate_says(
    family: Family, running: Running
) -> None:
    prompt = PROMPT
    for turn in range(3):
        reply = await running.reply(prompt)
        assert reply == family.cold(prompt)
        assert len(set(reply)) > 2, "a model that says one word proves nothing"
        new = len(prompt) if turn == 0 or family.name in FORGETFUL else 4 + 1
        assert new <= running.read[0] <= new + 5
        prompt = [*prompt, *reply, 11, 12, 13, 14 + turn]


async def test_a_reply_that_was_stopped_is_read_on_from_there(
    family: Family, running: Running
) -> None:
    prompt = PROMPT
    for turn in range(3):
        seen: list[int] = []
        async with aclosing(running.engine.generate(prompt, greedy(100))) as batches:
            while len(seen) < 2 + turn:
                seen += await anext(batches)
        await until_idle(running.engine)
        assert seen == family.cold(prompt, len(seen))
        prompt = [*prompt, *seen, 11, 12]
    assert await running.reply(prompt) == family.cold(prompt)


async def test_an_edit_is_read_from_where_it_differs(family: Family, running: Running) -> None:
    await running.reply(PROMPT)
    edited = [*PROMPT[:12], 90, 91]
    assert await running.reply(edited) == family.cold(edited)
    assert await running.reply(PROMPT) == family.cold(PROMPT)


async def test_the_loop_that_is_written_out_says_the_same(family: Family) -> None:
    layers: set[int] = set()
    if family.name == "mamba":
        with pytest.raises(ModelError, match="has no KV cache, which is what --loop shows"):
            LoopEngine(family.load(), {family.never}, 512, print)
        return
    engine = LoopEngine(family.load(), {family.never}, 512, lambda _, step: layers.add(step.layers))
    # In a longer text LongRoPE turns keys in another way, also those that the cache holds.
    assert engine.window == (40 if family.name == "phi-3-long" else 512)
    tokens = min(LENGTH, engine.window - len(PROMPT))
    try:
        assert await collect(engine.generate(PROMPT, greedy(tokens))) == family.cold(PROMPT, tokens)
    finally:
        engine.close()
    assert layers == {1 if family.name in ("lfm2", "qwen3-next") else 2}


def test_all_linear_layers_but_the_last_are_in_4_bits(family: Family) -> None:
    model = family.load()
    whole = {
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | Conv1D) and not isinstance(module, Linear4bit)
    }
    assert {name.rpartition(".")[2] for name in whole} == (
        {"lm_head", "dt_proj"} if family.name == "mamba" else {"lm_head"}
    )
    assert any(isinstance(module, Linear4bit) for module in model.modules())
    # The experts of a mixture are no linear layers: they stay as they are.
    experts = [part for name, part in model.named_parameters() if ".experts.gate_up_proj" in name]
    assert bool(experts) == (family.name in ("gpt-oss", "qwen3-next"))
    assert all(part.dtype == torch.float32 for part in experts)
