"""chat.models.build: models on OpenVINO compute what transformers does, family by family."""

from contextlib import aclosing
from pathlib import Path

import numpy as np
import openvino
import openvino_genai
import pytest
import torch
from gguf import GGMLQuantizationType
from gguf.quants import dequantize, quantize
from numpy.typing import NDArray
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from chat.core.sampling import Sampling
from chat.engines.openvino.engine import EXACT, OpenVINOEngine
from chat.models import as_gguf, ir, plain
from tests.support import families, gguf_file
from tests.support.aside import built
from tests.support.families import LLAMA3, PLAIN, SHAPE

#: More than the tiny models' scaled positions were made for.
LENGTH = 400


def ids(model: PreTrainedModel) -> list[int]:
    draw = torch.Generator().manual_seed(1)
    return torch.randint(model.config.vocab_size, (LENGTH,), generator=draw).tolist()


def of_openvino(folder: Path, ids: list[int]) -> NDArray[np.float32]:
    """Return the scores of each next token, [tokens, vocabulary]."""
    file = folder / "openvino_model.xml"
    compiled = openvino.Core().compile_model(file, "CPU", EXACT)
    inputs = {
        "input_ids": np.array([ids]),
        "attention_mask": np.ones((1, len(ids)), np.int64),
        "position_ids": np.arange(len(ids))[None],
        "beam_idx": np.zeros(1, np.int32),
    }
    return compiled.create_infer_request().infer(inputs)["logits"][0]


def of_transformers(model: PreTrainedModel, ids: list[int]) -> NDArray[np.float32]:
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].numpy()


def assert_same(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()
    assert (found.argmax(-1) == wanted.argmax(-1)).all()


@pytest.mark.parametrize("name", PLAIN)
def test_with_16_bits_a_family_is_what_transformers_runs(name: str, tmp_path: Path) -> None:
    model = families.save(PLAIN[name](), tmp_path / "model")
    assert plain.refusal(tmp_path / "model") is None
    built(tmp_path / "model", tmp_path / "ir", "F16")
    assert_same(of_openvino(tmp_path / "ir", ids(model)), of_transformers(model, ids(model)))


def unpacked(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the values of Q4_1 as OpenVINO has them: with a whole number for zero."""
    blocks = packed.reshape(-1, 20)
    scale, least = (blocks[:, at : at + 2].copy().view(np.float16) for at in (0, 2))
    zero = -least.astype(np.float32) / scale
    assert np.abs(zero - zero.round()).max() < 0.02
    q = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return ((q - zero.round()) * scale.astype(np.float32)).reshape(len(packed), -1)


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_in_4_bits_it_is_the_model_with_its_weights_in_4_bits(
    stored: torch.dtype, tmp_path: Path
) -> None:
    config = Qwen3Config(**SHAPE, head_dim=32)
    model = families.save(config, tmp_path / "model").to(stored)
    (tmp_path / "model" / "model.safetensors").unlink()
    model.save_pretrained(tmp_path / "model", max_shard_size="100KB")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 2
    built(tmp_path / "model", tmp_path / "ir")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    for name, weight in model.named_parameters():
        if weight.ndim == 2:
            given = weight.detach().numpy()
            if name in ("model.embed_tokens.weight", "lm_head.weight"):
                q8 = GGMLQuantizationType.Q8_0
                packed = dequantize(quantize(given, q8), q8)
            else:
                packed = unpacked(as_gguf.in_4_bits(given))
            weight.data = torch.from_numpy(packed)
    assert_same(of_openvino(tmp_path / "ir", ids(model)), of_transformers(model, ids(model)))


@pytest.mark.parametrize("shift", [0.0, 0.02])
def test_4_bits_miss_a_weight_by_half_a_step_at_most(shift: float) -> None:
    values = np.random.default_rng(0).normal(shift, 0.02, (64, 256)).astype(np.float32)
    values[0] = 0
    values[1] = 0.5
    found = unpacked(as_gguf.in_4_bits(values))
    groups = values.reshape(-1, 32)
    steps = (groups.max(1).clip(0) - groups.min(1).clip(max=0)) / 15
    worst = np.abs(found - values).reshape(-1, 32).max(1)
    # Scales have 11 digits, and count up to 15 times.
    assert (worst <= 0.51 * np.maximum(steps, 2**-14)).all()
    assert (found[0] == 0).all()


def test_the_factors_of_a_gguf_file_scale_its_positions(tmp_path: Path) -> None:
    plain_file = gguf_file.write(tmp_path / "plain.gguf")
    model = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=plain_file.name)
    config = LlamaConfig(**model.config.to_dict() | {"rope_parameters": LLAMA3})
    scaled = LlamaForCausalLM(config).eval()
    scaled.load_state_dict(model.state_dict())
    was = 1 / 10_000 ** (np.arange(0, 32, 2) / 32)
    factors = (was / scaled.model.rotary_emb.inv_freq.numpy()).astype(np.float32)
    assert factors.max() == pytest.approx(LLAMA3["factor"], rel=1e-3)
    file = gguf_file.write(tmp_path / "scaled.gguf", factors=factors)
    assert ir.refusal(file, tmp_path) is None
    for source, reference in ((plain_file, model), (file, scaled)):
        built(source, tmp_path / source.stem)
        found = of_openvino(tmp_path / source.stem, ids(reference))
        assert_same(found, of_transformers(reference, ids(reference)))


async def test_the_engine_writes_what_transformers_does_far_beyond_the_scaled_positions(
    tmp_path: Path,
) -> None:
    model = families.save(PLAIN["Llama 3.1"](), tmp_path / "model")
    built(tmp_path / "model", tmp_path / "ir", "F16")
    engine = OpenVINOEngine(tmp_path / "ir", 512, 2, EXACT).start({1})
    sampling = Sampling(temperature=0, max_new_tokens=60, min_new_tokens=60, repetition_penalty=1)
    try:
        async with aclosing(engine.generate(ids(model), sampling)) as parts:
            found = [id async for part in parts for id in part]
    finally:
        engine.close()
    wanted = model.generate(
        torch.tensor([ids(model)]), max_new_tokens=60, min_new_tokens=60, eos_token_id=1
    )
    assert found == wanted[0, LENGTH:].tolist()


def test_the_tokenizer_and_what_its_authors_set_come_along_as_they_are(tmp_path: Path) -> None:
    source, folder = tmp_path / "model", tmp_path / "ir"
    families.save(LlamaConfig(**SHAPE), source)
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save_pretrained(source)
    (source / "generation_config.json").write_text('{"temperature": 0.7, "eos_token_id": [2, 7]}')
    built(source, folder)
    for name in ("config.json", "generation_config.json"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    taken = PreTrainedTokenizerFast.from_pretrained(folder)
    text = "The quick <|im_start|> <think>fox</think>  über\n\n"
    assert taken(text).input_ids == tokenizer(text).input_ids
    assert taken.chat_template == tokenizer.chat_template
    compiled = openvino_genai.Tokenizer(folder)
    assert compiled.encode(text).input_ids.data[0].tolist() == tokenizer(text).input_ids
    assert not list(folder.glob("*.gguf")), "what was between is gone"
