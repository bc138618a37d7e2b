"""Which models it takes, known before one is loaded."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFWriter

from chat import space
from chat.engines.batched import entry
from chat.engines.batched.entry import BATCHED, KINDS
from chat.engines.entry import ManyOptions, Outlook
from chat.errors import ModelError
from tests.engines.batched.test_batcher import FAMILIES
from tests.support import tiny_models


def folder(place: Path, kind: str) -> Path:
    (place / "config.json").write_text(json.dumps({"model_type": kind}))
    return place


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma3_text", "gpt2"])
def test_kinds_that_are_tested_are_taken(tmp_path: Path, kind: str) -> None:
    assert BATCHED.refusal(folder(tmp_path, kind), tmp_path) is None


@pytest.mark.parametrize("kind", ["gpt_oss", "gemma2", "mamba", "lfm2", "deepseek_v3"])
def test_others_are_not(tmp_path: Path, kind: str) -> None:
    reason = BATCHED.refusal(folder(tmp_path, kind), tmp_path)
    assert reason == f"models of the kind {kind} have not been tried with it"


def test_a_gguf_file_is_known_by_what_it_says(gguf: Path, tmp_path: Path) -> None:
    assert BATCHED.refusal(gguf, tmp_path) is None


def test_not_on_zero_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "zero_gpu", lambda: True)
    reason = BATCHED.refusal(folder(tmp_path, "llama"), tmp_path)
    assert reason == "ZeroGPU gives a GPU to one reply at a time"


@pytest.mark.parametrize("rope", [{"rope_type": "longrope"}, {"type": "dynamic", "factor": 2.0}])
@pytest.mark.parametrize("name", ["rope_scaling", "rope_parameters"])
def test_keys_that_follow_the_length_of_a_text_are_known_beforehand(
    tmp_path: Path, name: str, rope: dict[str, object]
) -> None:
    settings = {"model_type": "phi3", name: rope}
    (tmp_path / "config.json").write_text(json.dumps(settings))
    assert BATCHED.refusal(tmp_path, tmp_path) == "its keys change with the length of the text"


#: What transformers says of a model of 4 GB on a GPU with 15.6 GB, of which a token takes 0.5 MB.
FOUND = Outlook(
    *(None, "to 4-bit NF4 while it loads", 4e9, 15.6e9, "GPU memory", 0, 4096),
    *(1, 4e9, 20_000, 500_000, 1),
)


@pytest.mark.parametrize(
    ("parallel", "free", "people", "tokens", "window"),
    [
        ("auto", 15.6e9, 8, 17_280, 4096),  # four fifths of what 4.8 GB of weights leave
        ("auto", 80e9, 16, 120_320, 4096),
        (3, 80e9, 3, 2 * 3 * 4096, 4096),
        ("auto", 5.8e9, 1, 1600, 1600),
    ],
)
def test_what_the_pool_has_room_for_is_said_beforehand(
    monkeypatch: pytest.MonkeyPatch,
    parallel: Any,
    free: float,
    people: int,
    tokens: int,
    window: int,
) -> None:
    transformers = SimpleNamespace(outlook=lambda *_: FOUND._replace(free_memory=free))
    monkeypatch.setattr(entry, "TRANSFORMERS", transformers)
    found = BATCHED.outlook(Path(), Path(), 4096, ManyOptions(parallel=parallel))
    assert (found.parallel, found.cache_tokens, found.window) == (people, tokens, window)


@pytest.mark.parametrize("gpus", [1, 2])
def test_what_needs_more_than_one_gpu_is_left_to_who_can_use_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = SimpleNamespace(gpus=gpus)
    transformers = SimpleNamespace(
        refusal=lambda *_: None, outlook=lambda *_: found, options=ManyOptions
    )
    monkeypatch.setattr(entry, "TRANSFORMERS", transformers)
    reason = BATCHED.refusal(folder(tmp_path, "llama"), tmp_path)
    assert reason == ("it needs more than one GPU" if gpus > 1 else None)


def test_auto_takes_it_with_a_gpu_alone() -> None:
    assert BATCHED.hardware == ("cuda",)


def test_every_kind_is_in_the_tests() -> None:
    shapes = {**tiny_models.FAMILIES, **tiny_models.POOLED}
    tested = {shapes[family]["model_type"] for family in [*FAMILIES, *tiny_models.POOLED]}
    assert tested == KINDS


def test_as_many_at_once_as_asked_for() -> None:
    assert ManyOptions(parallel=5).parallel == 5
    assert ManyOptions().parallel == "auto"


def test_a_gguf_file_that_says_nothing_of_itself_is_one_sentence(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "tiny.gguf", "")
    writer.kv_data[0].clear()
    writer.add_file_type(1)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"tiny\.gguf is not a GGUF file, or it is damaged"):
        BATCHED.refusal(tmp_path / "tiny.gguf", tmp_path)
