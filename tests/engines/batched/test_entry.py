"""Which models it takes, known before one is loaded."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from chat import space
from chat.engines.batched import entry
from chat.engines.batched.entry import BATCHED, KINDS
from chat.engines.entry import ManyOptions
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
