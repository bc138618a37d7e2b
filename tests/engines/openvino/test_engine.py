"""The OpenVINO engine, with a random two-layer Llama; transformers to compare."""

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import jsonschema
import psutil
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GgufConfig,
    PreTrainedTokenizerFast,
)

from chat.core.engine import Scored
from chat.core.sampling import Sampling
from chat.engines import room
from chat.engines.openvino import engine as openvino
from chat.engines.openvino.engine import OpenVINOEngine
from chat.engines.openvino.judge import Judge
from chat.engines.transformers.sampler import Penalties
from chat.errors import BadRequest, ModelError
from tests.support import gguf_file
from tests.support.batches import collect, greedy
from tests.support.openvino import CLOSE, NEVER, PROMPT, Start, gaps, some_ids, starting
from tests.support.schemas import SCHEMAS, STRING


@pytest.fixture(scope="module")
def model(gguf: Path) -> Any:
    """The same weights in transformers."""
    return AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[OpenVINOEngine]:
    """One engine for all that need no other."""
    with starting(folder) as start:
        yield start()


@pytest.fixture(scope="module")
def ending(folder: Path) -> Iterator[OpenVINOEngine]:
    """One engine, for replies that end by themselves, with id 2."""
    with starting(folder) as start:
        yield start(stop_ids={2})


def text(folder: Path, reply: list[int]) -> str:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return str(tokenizer.decode(reply, skip_special_tokens=True))


async def test_takes_the_token_that_transformers_likes_best(
    engine: OpenVINOEngine, model: Any
) -> None:
    reply = await collect(engine.generate(PROMPT, greedy(100)))
    assert len(reply) == 100
    assert max(gaps(model, PROMPT, reply)) < CLOSE


def test_the_models_own_end_ids_stop_it_too(start: Start, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "eos_token_id": 3}))
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": [4, 5]}))
    assert start(copy).stop_ids == {NEVER, 3, 4, 5}


async def test_a_repetition_penalty_counts_prompt_and_reply_as_transformers_does(
    engine: OpenVINOEngine, model: Any
) -> None:
    reply = await collect(engine.generate(PROMPT, greedy(200, repetition_penalty=2)))
    assert max(gaps(model, PROMPT, reply, penalty=2.0)) < CLOSE
    assert max(gaps(model, PROMPT, reply)) > CLOSE


@pytest.mark.parametrize(("presence", "frequency"), [(2, 0), (0, 2), (-1.5, 0.5)])
async def test_penalties_are_those_of_the_transformers_engine(
    engine: OpenVINOEngine, model: Any, presence: float, frequency: float
) -> None:
    sampling = greedy(60, presence_penalty=presence, frequency_penalty=frequency)
    reply = await collect(engine.generate(PROMPT, sampling))
    take = Penalties(len(PROMPT), presence, frequency)
    for at in range(len(reply)):
        ids = torch.tensor([[*PROMPT, *reply[:at]]])
        with torch.inference_mode():
            scores = take(ids, model(ids).logits[:, -1].clone())[0]
        assert scores.max() - scores[reply[at]] < CLOSE


async def test_min_p_leaves_only_what_is_almost_as_likely_as_the_likeliest(
    engine: OpenVINOEngine, model: Any
) -> None:
    async def drawn(min_p: float) -> float:
        sampling = greedy(50, temperature=1.5, top_k=0, top_p=1.0, min_p=min_p)
        return max(gaps(model, PROMPT, await collect(engine.generate(PROMPT, sampling))))

    assert await drawn(0.99) < CLOSE
    assert await drawn(0) > CLOSE


@pytest.mark.parametrize("temperature", [1.5])
@pytest.mark.parametrize(
    "pattern",
    [
        "yes|no",
        r"^\d{3}-[a-z]{2}\.$",
        r"(a|b|)\sx",
        r"[\]\-\\^\[]{3}",
        r"\$\(\)\{\}\|\/\.\*\+\?'\"<>&%#",
        "日本|é[à-ü]|🙂",
        r"\S\D\W",
        "(|a)b(|)()(c|)(a|a)*d",
    ],
)
async def test_a_reply_matches_its_pattern(
    ending: OpenVINOEngine, folder: Path, pattern: str, temperature: float
) -> None:
    sampling = greedy(60, temperature=temperature, regex=pattern, seed=1)
    reply = await collect(ending.generate(PROMPT, sampling))
    assert reply[-1] == 2
    assert re.fullmatch(pattern, text(folder, reply), re.ASCII)


async def test_a_reply_is_one_of_the_choices(ending: OpenVINOEngine, folder: Path) -> None:
    choices = ("yes", "no (really)", "[x] a|b.*")
    for allowed in [choices, *((choice,) for choice in choices)]:
        reply = await collect(ending.generate(PROMPT, greedy(60, choices=allowed)))
        assert text(folder, reply) in allowed


@pytest.mark.parametrize("temperature", [0, 1])
async def test_a_reply_that_fits_ends_before_its_shortest_length(
    ending: OpenVINOEngine, folder: Path, temperature: float
) -> None:
    sampling = greedy(60, choices=("yes", "no"), min_new_tokens=20, temperature=temperature)
    assert text(folder, await collect(ending.generate(PROMPT, sampling))) in ("yes", "no")


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_reply_is_json_of_its_schema(
    ending: OpenVINOEngine, folder: Path, name: str
) -> None:
    schema = SCHEMAS[name]
    sampling = greedy(400, temperature=1.0, json_schema=json.dumps(schema), seed=1)
    reply = text(folder, await collect(ending.generate(PROMPT, sampling)))
    jsonschema.validate(json.loads(reply), schema, jsonschema.Draft202012Validator)
    assert not re.search(r"\s{3}|[\t\n]", STRING.sub("text", reply))


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"temperature": 0.3},
        {"temperature": 2.0, "top_k": 40, "top_p": 0.9, "min_p": 0.02},
        {"repetition_penalty": 2, "presence_penalty": 2, "frequency_penalty": 2},
        {"temperature": 1.0, "regex": "[a-z ]{30}"},
        {"min_new_tokens": 20},
    ],
    ids=str,
)
async def test_log_probabilities_are_those_before_all_that_changes_the_scores(
    engine: OpenVINOEngine, model: Any, how: dict[str, Any]
) -> None:
    reply = await collect(engine.generate(PROMPT, greedy(25, logprobs=True, **how)))
    ids = torch.tensor([PROMPT + reply])
    right = model(ids).logits[0].detach().log_softmax(-1)
    for at, id in enumerate(reply, start=len(PROMPT)):
        assert isinstance(id, Scored)
        assert abs(id.logprob - float(right[at - 1, id])) < CLOSE


#: By its field, what takes half a second for a few tokens.
HOSTILE: dict[str, dict[str, Any]] = {
    "regex": {"regex": "(([a-z]?|[^0-9]?|a){0,3}){0,33}y"},
    "json_schema": {
        "json_schema": json.dumps({"type": "string", "pattern": "^(a|b|[^0-9]?){0,40}$"})
    },
}


@pytest.mark.parametrize("field", HOSTILE)
async def test_what_takes_too_long_is_refused_by_name_beside_others_who_go_on(
    start: Start, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    judge = partial(Judge, writing=0.1)  # far from that, and from what else is asked for
    monkeypatch.setattr(openvino, "Judge", judge)
    engine = start()
    expected = await collect(engine.generate(PROMPT, greedy(500)))
    given: list[int] = []

    async def innocent() -> None:
        async for ids in engine.generate(PROMPT, greedy(500)):
            given.extend(ids)

    going_on = asyncio.create_task(innocent())
    hostile = greedy(20, **HOSTILE[field])
    for refused in (engine.admit(hostile), collect(engine.generate(PROMPT, hostile))):
        with pytest.raises(BadRequest) as caught:
            await refused
        title = Sampling.model_fields[field].title
        assert str(caught.value) == f"{title} takes too long, or too much memory, to be kept to."
        assert caught.value.field == field
    await engine.admit(greedy(20, regex="yes|no"))
    await going_on
    assert given == expected


async def test_nobody_waits_for_a_grammar_but_who_asked(start: Start) -> None:
    engine = start()
    # So many tokens that the other is heard of long before, on a busy machine too.
    slow = greedy(400, regex="[^0-9]{60}[a-z]*", min_new_tokens=400)
    await engine.admit(slow)
    ended = []

    async def ask(name: str, sampling: Sampling) -> None:
        await collect(engine.generate(PROMPT, sampling))
        ended.append(name)

    await asyncio.gather(ask("held to it", slow), ask("another", greedy(2)))
    assert ended == ["another", "held to it"]


def test_without_the_tokenizer_a_reply_cannot_be_tied_down(
    start: Start, folder: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert start(copy).supports == {"choices", "regex", "json_schema", "logprobs"}
    (copy / "openvino_detokenizer.xml").unlink()
    assert start(copy).supports == {"logprobs"}


def test_the_cache_takes_its_share_of_the_memory_and_the_window_no_more_than_that(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    roomy = start(parallel=3)
    assert roomy.kv_cache_tokens == 2 * 3 * gguf_file.TRAINED_FOR
    monkeypatch.setattr(room, "FEWEST_TOKENS", 100)
    bytes_per_token = 2 * gguf_file.LAYERS * gguf_file.HIDDEN * 2
    free = int(200 * bytes_per_token / room.SHARE_OF_MEMORY)
    memory = psutil.virtual_memory()._replace(available=free)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    tight = start()
    assert tight.kv_cache_tokens == tight.window == 200
    assert 0 < tight.kv_cache_bytes < roomy.kv_cache_bytes
    monkeypatch.setattr(room, "FEWEST_TOKENS", 300)
    with pytest.raises(ModelError, match="not enough memory for this model's KV cache"):
        start()


async def test_who_does_not_fit_the_cache_waits_and_no_reply_is_cut(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [some_ids(200, seed) for seed in range(6)]
    roomy = start()
    alone = [await collect(roomy.generate(prompt, greedy(200))) for prompt in prompts]
    monkeypatch.setattr(room, "FEWEST_TOKENS", 100)
    free = int(gguf_file.TRAINED_FOR * 512 / room.SHARE_OF_MEMORY)
    memory = psutil.virtual_memory()._replace(available=free)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    tight = start(parallel=1)  # room for one full window
    given = await asyncio.gather(*(collect(tight.generate(p, greedy(200))) for p in prompts))
    assert given == alone


async def test_a_warm_cache_gives_what_a_cold_one_gives(start: Start) -> None:
    """Growing turns, a retry, an edit, an undo and a stop in mid-reply, token by token."""
    warm = start()

    async def check(prompt: list[int], what: str) -> list[int]:
        cold = start()
        given = await collect(warm.generate(prompt, greedy(30)))
        assert given == await collect(cold.generate(prompt, greedy(30))), what
        cold.close()
        return given

    conversation = some_ids(150)
    for turn in range(3):
        reply = await check(conversation, f"turn {turn}")
        await check(conversation, f"retry {turn}")
        await check(conversation[:-7] + some_ids(9, turn), f"edit {turn}")
        async with aclosing(warm.generate(conversation, greedy(100))) as batches:
            async for ids in batches:
                if ids:
                    break
        conversation = conversation + reply[:20] + some_ids(15, turn + 100)
    await check(conversation, "after a stop")
    await check(conversation[:160], "undo")
