"""An assistant and prompt lookup on OpenVINO: the replies are those without, to the token."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chat.core.sampling import Sampling
from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from chat.models import ir
from tests.support import gguf_file
from tests.support.batches import collect
from tests.support.openvino import NEVER

#: For a model as `folder` has it and one that often writes what that does, the engine's options.
KINDS: dict[str, Callable[[Path, Path], dict[str, Any]]] = {
    "the model itself": lambda folder, alike: {"assistant": folder},
    "an assistant": lambda folder, alike: {"assistant": alike},
    "prompt lookup": lambda folder, alike: {"prompt_lookup": 5},
}


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights are those of the tiny one with a little noise."""
    place = tmp_path_factory.mktemp("alike")
    make = np.random.default_rng

    class Noisy:
        def __init__(self, seed: int) -> None:
            self.own, self.noise = make(seed), make(99)

        def normal(self, mean: float, scale: float, shape: tuple[int, ...]) -> Any:
            return self.own.normal(mean, scale, shape) + self.noise.normal(0, scale / 3, shape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", Noisy)
        file = gguf_file.write(place / "alike.gguf")
    _, folder = ir.tokenizer_and_folder(file, place)
    return folder


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[OpenVINOEngine]:
    engine = OpenVINOEngine(folder, 4096, 8, EXACT).start({NEVER})
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def engine(request: Any, folder: Path, alike: Path) -> Iterator[OpenVINOEngine]:
    engine = OpenVINOEngine(folder, 4096, 8, EXACT, **request.param(folder, alike))
    engine.start({NEVER})
    yield engine
    engine.close()


SAMPLINGS: list[dict[str, Any]] = [
    {},
    {"max_new_tokens": 1},
    {"max_new_tokens": 2, "repetition_penalty": 1.2},
    {"presence_penalty": 0.5, "frequency_penalty": 0.5},
    {"min_new_tokens": 12},
    {"temperature": 1.2, "seed": 1, "top_k": 0, "top_p": 1.0},
    {"temperature": 1.0, "seed": 4, "logprobs": True},
    {"choices": ("yes", "no way")},
]


def sampled(**changes: Any) -> Sampling:
    values = {"temperature": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 40, **changes}
    return Sampling(**values)


def some_ids(count: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(10, 400), k=count)


@pytest.mark.parametrize("length", [3, 300])
async def test_who_is_alone_gets_what_they_would_without_on_cold_and_warm_caches(
    engine: OpenVINOEngine, plain: OpenVINOEngine, length: int
) -> None:
    prompt = some_ids(length, length)
    for turn in range(3):
        for sampling in (sampled(**changes) for changes in SAMPLINGS):
            expected = await collect(plain.generate(prompt, sampling))
            assert await collect(engine.generate(prompt, sampling)) == expected
        prompt = [*prompt, *expected, 50 + turn]


async def test_many_at_once_get_what_they_would_without(
    engine: OpenVINOEngine, plain: OpenVINOEngine
) -> None:
    shared = some_ids(70, 0)
    asked = [
        ((shared if seed % 2 else []) + some_ids(20 + 25 * seed, seed), SAMPLINGS[seed % 7])
        for seed in range(16)
    ]
    # What is longer has no room where tokens are drafted, and waits for ever once it is alone.
    assert max(len(prompt) for prompt, _ in asked) + 40 <= engine.window
    for _ in range(2):
        replies = await asyncio.gather(
            *(collect(engine.generate(prompt, sampled(**own))) for prompt, own in asked)
        )
        for (prompt, own), reply in zip(asked, replies, strict=True):
            assert reply == await collect(plain.generate(prompt, sampled(**own)))


async def test_a_stop_in_mid_reply_leaves_caches_that_are_right(
    engine: OpenVINOEngine, plain: OpenVINOEngine
) -> None:
    prompt = some_ids(40, 7)
    for turn in range(6):
        expected = await collect(plain.generate(prompt, sampled()))
        seen: list[int] = []
        async with aclosing(engine.generate(prompt, sampled(max_new_tokens=400))) as batches:
            while len(seen) < 1 + turn:
                seen += await anext(batches)
        assert seen[: 1 + turn] == expected[: 1 + turn]
        assert await collect(engine.generate(prompt, sampled())) == expected
        prompt = [*prompt, *expected[: 1 + turn], 3, 4]
