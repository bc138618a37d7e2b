"""Families on transformers, in 4 bits; tests/models/test_build.py has those that OpenVINO runs."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit

from chat.models import quantize
from tests.support import families
from tests.support.families import OTHERS, PLAIN

CONFIGS = {
    "Llama 3": PLAIN["Llama 3"],
    **{name: config for name, (config, _) in OTHERS.items()},
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_family_writes_in_4_bits_on_transformers(name: str, tmp_path: Path) -> None:
    families.save(CONFIGS[name](), tmp_path / "tiny")
    tokenizer, model = quantize.tokenizer_and_model(tmp_path / "tiny", tmp_path)
    assert any(isinstance(module, Linear4bit) for module in model.modules())
    ids = tokenizer("The capital of France", return_tensors="pt").input_ids.to(model.device)
    with torch.inference_mode():
        written = model.generate(ids, max_new_tokens=4, min_new_tokens=4)
    assert written.shape == (1, ids.shape[1] + 4)
