"""Loading in 4 bits, with a random Llama in a folder."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from transformers import LlamaConfig, LlamaForCausalLM

from chat.errors import ModelError
from chat.models import quantize
from tests.support.tiny import chatml_tokenizer

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = chatml_tokenizer()
    tokenizer.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "tiny"))


def test_a_folder_is_loaded_in_4_bits(folder: Path, tmp_path: Path) -> None:
    tokenizer, model = quantize.tokenizer_and_model(folder, tmp_path)
    layer = model.model.layers[0].mlp.up_proj
    assert isinstance(layer, Linear4bit)
    assert (layer.weight.quant_type, layer.weight.compress_statistics) == ("nf4", True)
    assert layer.compute_dtype == quantize.compute_dtype()
    assert tokenizer.decode(tokenizer("Paris")["input_ids"]) == "Paris"


def test_it_says_something_in_4_bits(folder: Path, tmp_path: Path) -> None:
    _, model = quantize.tokenizer_and_model(folder, tmp_path)
    ids = torch.tensor([[5, 6, 7]], device=model.device)
    assert model.generate(ids, max_new_tokens=3, min_new_tokens=3).shape == (1, 6)


def test_a_folder_that_is_4_bit_already_is_loaded_as_it_is(folder: Path, tmp_path: Path) -> None:
    tokenizer, model = quantize.tokenizer_and_model(folder, tmp_path)
    again = tmp_path / "again"
    model.save_pretrained(again)
    tokenizer.save_pretrained(again)
    _, model = quantize.tokenizer_and_model(again, tmp_path)
    assert isinstance(model.model.layers[0].mlp.up_proj, Linear4bit)


class Memory(NamedTuple):
    available: int


def test_a_model_that_does_not_fit_is_refused_with_both_sizes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory(1000))
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda: (1000, 1000))
    with pytest.raises(ModelError, match=r"needs about 0\.0 GB of .*memory, and 0\.0 GB are free"):
        quantize.tokenizer_and_model(folder, tmp_path)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't allocate memory: 9 bytes")])
def test_running_out_of_memory_while_loading_is_explained(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", fail)
    with pytest.raises(ModelError, match="not enough memory to load this model"):
        quantize.tokenizer_and_model(folder, tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "not enough memory to load this model"),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), "not enough memory to load this model"),
        (RuntimeError("shapes differ"), "some of its weights are missing or do not fit"),
    ],
)
def test_running_out_of_memory_while_quantizing_is_not_taken_for_weights_that_are_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    """Which transformers calls both, errors in the conversion of the weights."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("bitsandbytes.functional.quantize_4bit", fail)
    with pytest.raises(ModelError, match=said):
        quantize.tokenizer_and_model(folder, tmp_path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(28, "No space left on device", "/somebody/s"),
            r"loaded: No space left on device\.$",
        ),
        (FileNotFoundError(2, "No such file or directory"), "damaged, incomplete or of a kind"),
        (OSError("owner/name does not appear to have a file"), "damaged, incomplete or of a kind"),
    ],
)
def test_what_the_system_refuses_is_not_called_damaged(error: Exception, said: str) -> None:
    def load() -> None:
        with quantize._explained():
            raise error

    with pytest.raises(ModelError, match=said):
        load()


def test_damaged_weights_are_explained(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match="could not be loaded"):
        quantize.tokenizer_and_model(folder, tmp_path)


def test_a_damaged_gguf_file_is_explained_and_leaves_nothing_behind(tmp_path: Path) -> None:
    gguf, cache = tmp_path / "broken.gguf", tmp_path / "cache"
    cache.mkdir()
    gguf.write_bytes(b"GGUF but not really")
    with pytest.raises(ModelError, match="could not be loaded"):
        quantize.tokenizer_and_model(gguf, cache)
    assert list(cache.iterdir()) == []


def test_a_model_that_brings_its_own_code_is_not_run(folder: Path, tmp_path: Path) -> None:
    config = (folder / "config.json").read_text()
    foreign = config.replace('"llama"', '"foreign"', 1)
    foreign = foreign.replace("{", '{"auto_map": {"AutoConfig": "evil.Config"},', 1)
    (folder / "config.json").write_text(foreign)
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ModelError, match="could not be loaded"):
        quantize.tokenizer_and_model(folder, tmp_path)
    assert not (tmp_path / "ran").exists()


@needs_cuda
def test_on_cuda_the_weights_lie_on_the_gpu(folder: Path, tmp_path: Path) -> None:
    _, model = quantize.tokenizer_and_model(folder, tmp_path)
    assert {parameter.device.type for parameter in model.parameters()} == {"cuda"}


@needs_cuda
def test_on_cuda_the_compute_type_follows_the_card() -> None:
    modern = torch.cuda.get_device_capability() >= (8, 0)
    assert quantize.compute_dtype() == (torch.bfloat16 if modern else torch.float16)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((7, 5), torch.float16), ((8, 0), torch.bfloat16), ((9, 0), torch.bfloat16)],
)
def test_cards_from_capability_8_on_compute_in_bfloat16(
    capability: tuple[int, int], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda: capability)
    assert quantize.nf4().bnb_4bit_compute_dtype == dtype


@pytest.mark.parametrize(
    ("has", "dtype"),
    [
        ({"avx2", "fma3"}, torch.float32),
        ({"avx2", "avx512_f", "avx512_bw"}, torch.bfloat16),
        ({"avx2", "avx_ne_convert"}, torch.bfloat16),
        ({"neon"}, torch.float32),
        ({"neon", "bf16"}, torch.bfloat16),
    ],
)
def test_a_cpu_computes_in_bfloat16_if_it_has_instructions_for_it(
    has: set[str], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: dict.fromkeys(has, True))
    assert quantize.compute_dtype() == dtype


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "mine"}, r"of a kind that transformers does not know \(mine\), and code"),
        ({"model_type": "a\nb"}, r"of a kind that transformers does not know, and code"),
        ({"model_type": None}, r"of a kind that transformers does not know, and code"),
        ({"model_type": "t5"}, r"^A model of the kind t5 does not write text\.$"),
        ({"hidden_size": "wide"}, r"its config\.json is not that of a llama model\.$"),
        ({"quantization_config": "yes"}, r"its config\.json is not that of a llama model\.$"),
    ],
    ids=str,
)
def test_what_a_config_cannot_say_is_one_sentence(
    folder: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    for ask in (quantize.outlook, quantize.tokenizer_and_model):
        with pytest.raises(ModelError, match=said):
            ask(folder, tmp_path)


def test_wherever_a_model_is_loaded_attention_is_not_cudnns(folder: Path, tmp_path: Path) -> None:
    torch.backends.cuda.enable_cudnn_sdp(True)
    quantize.tokenizer_and_model(folder, tmp_path)
    assert not torch.backends.cuda.cudnn_sdp_enabled()
