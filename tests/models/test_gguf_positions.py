"""chat.models.gguf_positions: scaled positions of a GGUF file that transformers reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from chat.errors import ModelError
from chat.models import quantize
from tests.support import gguf_file

HALF = gguf_file.HIDDEN // gguf_file.HEADS // 2
PLAIN = 10000.0 ** (-np.arange(HALF) / HALF)
LLAMA = {
    **{"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0},
    **{"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192},
}


def llamas() -> Any:
    """Return the factors by which Llama 3.1 divides the frequencies of its positions."""
    config = LlamaConfig(hidden_size=64, num_attention_heads=2, rope_parameters=LLAMA)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    return (PLAIN / scaled.numpy()).astype(np.float32)


def frequencies(file: Path, cache: Path) -> torch.Tensor:
    """Return those of the model that a file is converted to."""
    _, model = quantize.tokenizer_and_model(file, cache)
    found: torch.Tensor = model.model.rotary_emb.inv_freq
    return found


def test_llamas_factors_are_those_of_the_model(tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "a.gguf", factors=llamas())
    found = frequencies(file, tmp_path / "cache")
    assert np.allclose(found.numpy(), PLAIN / llamas(), rtol=1e-4)
    assert not np.allclose(found.numpy(), PLAIN, rtol=1e-2)


def test_a_linear_scale_is_that_of_the_model(tmp_path: Path) -> None:
    file = gguf_file.write(
        tmp_path / "a.gguf", scaling=4.0, **{"llama__rope__scaling__type": "linear"}
    )
    assert np.allclose(frequencies(file, tmp_path / "cache").numpy(), PLAIN / 4, rtol=1e-4)


@pytest.mark.parametrize("odd", ["factors", "yarn", "both"])
def test_what_would_be_lost_is_refused_and_leaves_nothing(odd: str, tmp_path: Path) -> None:
    factors = None if odd == "yarn" else np.linspace(1, 3, HALF, dtype=np.float32)
    said = {"yarn": "yarn", "both": "linear"}.get(odd, "none")
    file = gguf_file.write(
        tmp_path / "a.gguf", factors=factors, scaling=4.0, llama__rope__scaling__type=said
    )
    with pytest.raises(ModelError, match=r"^The model could not be loaded: a\.gguf scales its pos"):
        quantize.tokenizer_and_model(file, tmp_path / "cache")
    assert not [one for one in (tmp_path / "cache").rglob("*") if one.is_file()]
