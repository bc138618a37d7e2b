"""`model.generate` on the worker thread, with a random two-layer Llama."""

import asyncio
import random
import re
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from chat.core.chat import Chat
from chat.core.conversation import rebuild
from chat.core.engine import Cached
from chat.core.gate import Gate
from chat.core.sampling import Sampling
from chat.engines.transformers.engine import TransformersEngine
from chat.engines.transformers.guide import Guide
from chat.engines.transformers.ready import prepare
from chat.errors import EngineError, ModelError, OutOfMemory
from tests.support import tiny_models
from tests.support.batches import collect, greedy
from tests.support.fakes import CharTokens, LineFormat
from tests.support.tiny import chatml_tokenizer

PROMPT = [5, 6, 7, 8]
NEVER = 127  # as the only stop id: an untrained model hardly ever picks it greedily


@pytest.fixture
def model() -> PreTrainedModel:
    return tiny_models.llama()


@pytest.fixture
def engine(model: PreTrainedModel) -> Iterator[TransformersEngine]:
    engine = TransformersEngine(model, {NEVER}, window=4096)
    yield engine
    engine.close()


def reference(prompt: list[int], tokens: int) -> list[int]:
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, pad_token_id=0)
    ids = tiny_models.llama().generate(torch.tensor([prompt]), generation_config=config)
    return ids[0, len(prompt) :].tolist()


class Brake:
    """Holds the model before each forward pass until it is released; counts the passes."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.passes = 0
        self.reached = threading.Semaphore(0)
        self._released = threading.Semaphore(0)
        self._on = True
        module.register_forward_pre_hook(self._wait)

    def _wait(self, *_: Any) -> None:
        self.passes += 1
        if self._on:
            self.reached.release()
            assert self._released.acquire(timeout=20)

    def release(self, passes: int = 1) -> None:
        self._released.release(passes)

    def off(self) -> None:
        self._on = False
        self.release()


async def reached(brake: Brake) -> None:
    assert await asyncio.to_thread(brake.reached.acquire, timeout=20)


async def until_idle(engine: TransformersEngine) -> None:
    async with asyncio.timeout(20):
        while engine.busy:
            await asyncio.sleep(0.001)


def test_the_models_own_end_ids_stop_it_too(model: PreTrainedModel) -> None:
    model.generation_config = GenerationConfig(eos_token_id=[3, 4])
    engine = TransformersEngine(model, {NEVER}, window=4096)
    engine.close()
    assert engine.stop_ids == {3, 4, NEVER}


async def test_defaults_that_a_checkpoint_ships_do_not_mix_in(model: PreTrainedModel) -> None:
    model.generation_config = GenerationConfig(
        no_repeat_ngram_size=1, do_sample=True, temperature=1.9, max_length=7
    )
    engine = TransformersEngine(model, {NEVER}, window=4096)
    ids = await collect(engine.generate(PROMPT, greedy(20)))
    engine.close()
    assert ids == reference(PROMPT, 20)


async def test_the_repetition_penalty_counts_once_in_sampling_too(
    engine: TransformersEngine,
) -> None:
    drawn = Sampling(temperature=1.5, top_k=1, max_new_tokens=30, repetition_penalty=1.3)
    likeliest = drawn.model_copy(update={"temperature": 0.0})
    expected = await collect(engine.generate(PROMPT, likeliest))
    assert await collect(engine.generate(PROMPT, drawn)) == expected


@pytest.mark.parametrize("temperature", [0.0, 1.5])
@pytest.mark.parametrize("name", ["presence_penalty", "frequency_penalty"])
async def test_penalties_are_obeyed(
    engine: TransformersEngine, name: str, temperature: float
) -> None:
    sampling = Sampling(temperature=temperature, top_k=1, max_new_tokens=20, repetition_penalty=1)
    more, less = (sampling.model_copy(update={name: value}) for value in (-2, 2))
    usual = len(set(await collect(engine.generate(PROMPT, sampling))))
    assert len(set(await collect(engine.generate(PROMPT, more)))) <= usual
    assert len(set(await collect(engine.generate(PROMPT, less)))) >= usual


async def test_a_repetition_penalty_is_obeyed(engine: TransformersEngine) -> None:
    sampling = Sampling(temperature=0, max_new_tokens=20, repetition_penalty=2)
    ids = await collect(engine.generate(PROMPT, sampling))
    assert len(set(ids)) == len(ids) > len(set(reference(PROMPT, 20)))


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize(
    ("biases", "written"),
    [
        ({"a": -100, "Z": 100, "<|im_end|>": 100}, "b{5}"),
        ({"a": -100, "b": -100, "Z": 100}, "[ab]{5}"),
        ({"a": 100, "Z": 100}, "a{5}"),
    ],
)
async def test_no_bias_makes_a_token_win_that_the_pattern_forbids(
    biases: dict[str, float], written: str, temperature: float
) -> None:
    tokenizer = chatml_tokenizer()
    vocabulary = len(tokenizer) + 5
    model = tiny_models.llama(vocab_size=vocabulary)
    end = tokenizer.eos_token_id
    engine = TransformersEngine(model, {end}, 4096, guide=Guide(tokenizer, vocabulary))
    ids = {tokenizer.convert_tokens_to_ids(token): bias for token, bias in biases.items()}
    sampling = Sampling(temperature=temperature, logit_bias=ids, regex="[ab]{5}")
    reply = await collect(engine.generate(PROMPT, sampling))
    engine.close()
    assert reply[-1] == end
    assert re.fullmatch(written, tokenizer.decode(reply[:-1]))


async def test_ids_come_one_by_one_and_not_at_the_end(
    model: PreTrainedModel, engine: TransformersEngine
) -> None:
    brake = Brake(model)
    async with aclosing(engine.generate(PROMPT, greedy(50))) as batches:
        await asyncio.wait_for(_first(batches, brake), 20)
        assert brake.passes <= 2
        brake.off()


async def _first(batches: AsyncGenerator[list[int]], brake: Brake) -> list[int]:
    brake.release()
    async for ids in batches:
        if ids:
            return ids
    raise AssertionError("ended without a token")


async def test_closing_stops_the_model_within_one_token(
    model: PreTrainedModel, engine: TransformersEngine
) -> None:
    brake = Brake(model)
    async with aclosing(engine.generate(PROMPT, greedy(200))) as batches:
        await _first(batches, brake)
        at_close = brake.passes
    brake.off()
    await until_idle(engine)
    assert brake.passes <= at_close + 1


async def test_closing_stops_the_reading_of_a_long_prompt_between_two_layers(
    model: PreTrainedModel, engine: TransformersEngine
) -> None:
    first_layer, second_layer = model.model.layers
    brake, later = Brake(first_layer), Brake(second_layer)
    waiting = asyncio.ensure_future(collect(engine.generate([5] * 200, greedy(5))))
    await reached(brake)
    waiting.cancel()
    await asyncio.wait([waiting])
    brake.off()
    later.off()
    await until_idle(engine)
    assert (brake.passes, later.passes) == (1, 0)


@pytest.mark.parametrize(
    ("device", "tokens", "waits"), [("cuda", 300, True), ("cuda", 256, False), ("cpu", 300, False)]
)
def test_a_gpu_is_waited_for_before_each_layer_of_a_long_prompt(
    model: PreTrainedModel,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    tokens: int,
    waits: bool,
) -> None:
    """With a stand-in: else all layers are queued before anyone could stop them."""
    order: list[str] = []

    class Stream:
        def synchronize(self) -> None:
            order.append("wait")

    monkeypatch.setattr(type(model), "device", torch.device(device))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: Stream())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    prepare(model, lambda: order.append("check"), lambda *_: None)
    model(input_ids=torch.ones(1, tokens, dtype=torch.long))
    assert order == (["wait", "check"] * 2 if waits else ["check"] * 2)


async def test_a_request_closed_while_it_queues_never_runs(
    model: PreTrainedModel, engine: TransformersEngine
) -> None:
    brake = Brake(model)
    running = asyncio.ensure_future(collect(engine.generate(PROMPT, greedy(3))))
    await reached(brake)
    queued = asyncio.ensure_future(collect(engine.generate([9] * 9, greedy(3))))
    await asyncio.sleep(0)
    queued.cancel()
    await asyncio.wait([queued])
    brake.off()
    await running
    await collect(engine.generate(PROMPT, greedy(1)))
    assert brake.passes == 3 + 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("what somebody wrote"), EngineError),
        (torch.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), OutOfMemory),
        (MemoryError(), OutOfMemory),
    ],
)
async def test_an_error_in_the_worker_reaches_the_caller_and_the_next_request_works(
    model: PreTrainedModel,
    engine: TransformersEngine,
    error: Exception,
    expected: type[EngineError],
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: Any) -> None:
        raise error

    failing = model.lm_head.register_forward_pre_hook(fail)
    with pytest.raises(expected) as caught:
        await asyncio.wait_for(collect(engine.generate(PROMPT, greedy(5))), 30)
    failing.remove()
    assert type(caught.value) is expected
    assert "somebody" not in str(caught.value) + caplog.text
    assert engine.state == "ready"
    assert len(await collect(engine.generate(PROMPT, greedy(5)))) == 5


@pytest.mark.parametrize("lost", [True, False])
async def test_an_error_after_which_the_gpu_answers_no_more_means_that_the_engine_has_failed(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch, lost: bool
) -> None:
    """With a stand-in for the GPU: a real one that is lost would be lost to all other tests too."""
    engine = TransformersEngine(model, {NEVER}, window=64)

    def fail(*_: Any) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(type(model), "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "synchronize", fail if lost else lambda _: None)
    with pytest.raises(EngineError):
        await collect(engine.generate(PROMPT, greedy(5)))
    assert engine.state == ("failed" if lost else "ready")
    monkeypatch.undo()
    engine.close()


def test_a_model_on_a_cpu_is_made_quick_once_it_has_packed_its_weights(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    brake, passes = Brake(model), []
    brake.off()
    prepared = "chat.engines.transformers.ready.call_kernels_directly"
    monkeypatch.setattr(prepared, lambda _: passes.append(brake.passes))
    TransformersEngine(model, {NEVER}, window=64).close()
    assert model.config._attn_implementation == "packed_sdpa"
    assert passes == [2]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
@pytest.mark.parametrize(
    ("dtype", "sentence"),
    [
        (torch.float16, "This model needs bfloat16, which this GPU lacks."),
        (torch.float32, "This model computes no numbers: its weights are damaged."),
    ],
)
def test_scores_that_are_no_numbers_are_told_of_before_anyone_asks(
    model: PreTrainedModel, dtype: torch.dtype, sentence: str, value: float
) -> None:
    overflows = value != 1e5 or dtype == torch.float16
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight.mul_(value)
        model.to(dtype)
    if overflows:
        with pytest.raises(ModelError, match=f"^{re.escape(sentence)}$"):
            TransformersEngine(model, {NEVER}, window=64)
    else:
        TransformersEngine(model, {NEVER}, window=64).close()


def test_a_score_that_rules_a_token_out_is_a_number(model: PreTrainedModel) -> None:
    def rule_out(_: Any, __: Any, scores: torch.Tensor) -> torch.Tensor:
        return scores.index_fill(-1, torch.tensor([5]), -torch.inf)

    model.lm_head.register_forward_hook(rule_out)
    TransformersEngine(model, {NEVER}, window=64).close()


class TinyTokens(CharTokens):
    """Characters as ids that the tiny model knows."""

    def encode(self, pieces: Any) -> list[int]:
        return [id % 127 for id in super().encode(pieces)]


async def test_100_aborts_at_every_stage_leave_nothing_behind(engine: TransformersEngine) -> None:
    chat = Chat(engine, TinyTokens(), LineFormat(), Gate(1, max_waiting=200))
    threads = threading.active_count()
    dice = random.Random(0)

    async def abort(stage: str, number: int) -> None:
        updates = chat.reply(rebuild([], f"question {number}", ""), greedy(64))
        seen = 0
        async with aclosing(updates):
            async for update in updates:
                seen += update.state == "writing"
                if (
                    (stage == "queued" and update.state in ("waiting", "reading"))
                    or (stage == "prompt" and update.state == "reading")
                    or (stage == "first" and seen == 1)
                    or (stage == "middle" and update.tokens >= 20)
                    or (stage == "last" and update.tokens >= 64)
                ):
                    return

    stages = ["queued", "prompt", "first", "middle", "last"] * 20
    dice.shuffle(stages)
    jobs = [asyncio.create_task(abort(stage, i)) for i, stage in enumerate(stages)]
    for job in jobs[::7]:  # some are cut from outside, wherever they are by then
        await asyncio.sleep(0.01)
        job.cancel()
    await asyncio.wait(jobs, timeout=60)
    assert all(job.done() for job in jobs)
    await until_idle(engine)
    assert chat.gate.size == 0
    updates = [update async for update in chat.reply(rebuild([], "still there?", ""), greedy(10))]
    assert (updates[-1].state, updates[-1].tokens) == ("length", 10)
    # asyncio's own pool, which composes prompts, may have grown to its size meanwhile.
    names = [thread.name for thread in threading.enumerate()]
    assert sum(not name.startswith("asyncio_") for name in names) <= threads


async def test_a_negative_prompt_steers_as_guidance_in_transformers_does(
    model: PreTrainedModel, engine: TransformersEngine
) -> None:
    negative = [9, 10, 11]
    sampling = greedy(15).model_copy(update={"negative_prompt": "x", "guidance_scale": 3.0})
    given = await collect(engine.generate(PROMPT, sampling, negative))
    expected = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
        negative_prompt_ids=torch.tensor([negative]),
        guidance_scale=3.0,
        max_new_tokens=15,
        do_sample=False,
        eos_token_id=NEVER,
        pad_token_id=NEVER,
    )
    assert given == expected[0, len(PROMPT) :].tolist()
    assert given != await collect(engine.generate(PROMPT, greedy(15)))


class Counted:
    """Notes with how many threads each forward pass ran: (tokens read, threads)."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.passes: list[tuple[int, int]] = []
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, _: Any, arguments: Any, named: dict[str, Any]) -> None:
        self.passes.append((named["input_ids"].shape[1], torch.get_num_threads()))


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_decoding_is_tried_with_all_threads_and_with_one(model: PreTrainedModel) -> None:
    counted = Counted(model)
    TransformersEngine(model, {NEVER}, window=256).close()
    assert {threads for tokens, threads in counted.passes if tokens == 1} == {1, 3}
    assert torch.get_num_threads() == 3, "as it was before"


@pytest.mark.usefixtures("three_threads")
@pytest.mark.parametrize("few", [1, 3])
async def test_all_threads_read_a_prompt_and_those_that_are_worth_it_decode(
    model: PreTrainedModel, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(every: int, decode: Any) -> int:
        return few

    monkeypatch.setattr("chat.engines.transformers.ready.decoding_threads", chosen)
    engine = TransformersEngine(model, {NEVER}, window=256)
    counted = Counted(model)
    for first in (20, 30):  # all again for the second one
        await collect(engine.generate([first, 9, 10], greedy(4)))
    engine.close()
    assert counted.passes == [(3, 3), (1, few), (1, few), (1, few)] * 2


@pytest.mark.parametrize("texts", [([5, 10**6], []), ([5, -1], []), ([5], [10**6])])
async def test_ids_that_the_model_has_not_do_not_get_to_it(
    texts: tuple[list[int], list[int]],
) -> None:
    """A GPU would be lost with them."""
    model = tiny_models.llama()
    engine = TransformersEngine(model, {NEVER}, 512)
    read: list[int] = []
    watched = model.register_forward_pre_hook(lambda *_: read.append(1))
    sampling = greedy(3).model_copy(update={"negative_prompt": "a", "guidance_scale": 2})
    with pytest.raises(EngineError, match="Please try again"):
        await collect(engine.generate(texts[0], sampling, texts[1]))
    assert not read
    watched.remove()
    assert len(await collect(engine.generate([5], greedy(3)))) == 3
    engine.close()


async def test_how_much_of_a_prompt_was_in_the_cache_is_told(engine: TransformersEngine) -> None:
    told = []
    for prompt in ([1, 2, 3], [1, 2, 3, 4, 5], [9]):
        async for ids in engine.generate(prompt, greedy(2)):
            if isinstance(ids, Cached):
                told.append(ids.tokens)
    assert told == [0, 3, 0]
