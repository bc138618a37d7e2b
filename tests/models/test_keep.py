"""chat.models.keep: what a folder was made into is the same at the next start, and found there."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors import SafetensorError
from transformers import PreTrainedModel

from chat.models import adapters, checkpoint, keep, quantize
from chat.models.lora import Lora
from tests.support import lora, tiny_models
from tests.support.tiny import chatml_tokenizer

IDS = torch.tensor([[5, 6, 7, 8]])
LLAMA = "llama-3"


class Disk(NamedTuple):
    free: int


@pytest.fixture(autouse=True)
def _small_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep, "WORTH", 1)
    monkeypatch.setattr(keep, "SHARE", 0.95)


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def saved(folder: Path, family: str = LLAMA, **changes: Any) -> Path:
    tokenizer = chatml_tokenizer()
    tiny_models.family(family, len(tokenizer), **changes).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def load(folder: Path, cache: Path) -> PreTrainedModel:
    return quantize.tokenizer_and_model(folder, cache)[1]


def logits(model: PreTrainedModel) -> torch.Tensor:
    with torch.inference_mode():
        return model(IDS.to(model.device)).logits.float().cpu()


def kept(cache: Path) -> list[Path]:
    return [path for path in cache.iterdir() if path.suffix != ".lock"]


#: Those with layers and numbers of other kinds, in one type, and one of them in all.
KINDS = [
    *((family, torch.bfloat16) for family in (LLAMA, "gemma-3", "gpt2", "mamba", "phi-3-long")),
    *((LLAMA, type) for type in (torch.float32, torch.float16)),
]


@pytest.mark.parametrize(("family", "computed"), sorted(KINDS, key=str), ids=str)
def test_a_second_start_computes_the_same_from_what_the_first_one_kept(
    tmp_path: Path,
    cache: Path,
    family: str,
    computed: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sources: list[Path] = []
    own = checkpoint.loaded

    def spy(kind: Any, source: Path, **options: Any) -> PreTrainedModel:
        sources.append(source)
        return own(kind, source, **options)

    monkeypatch.setattr(quantize, "compute_dtype", lambda: computed)
    folder = saved(tmp_path / "model", family)
    monkeypatch.setattr(checkpoint, "loaded", spy)
    first = load(folder, cache)
    sources.clear()
    second = load(folder, cache)
    assert sources == kept(cache)
    assert {name: part.dtype for name, part in first.named_parameters()} == {
        name: part.dtype for name, part in second.named_parameters()
    }
    assert any(isinstance(module, Linear4bit) for module in second.modules())
    assert torch.equal(logits(first), logits(second))
    assert vars(first.generation_config) == vars(second.generation_config)


GENERATION = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "odd": "x", "eos_token_id": [2]}


def test_all_that_its_authors_have_set_is_kept_as_they_have_it(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps(GENERATION))
    (folder / "additional_chat_templates").mkdir()
    for name in ("chat_template.jinja", "additional_chat_templates/tools.jinja"):
        (folder / name).write_text("{{ messages[0].content }}")
    (folder / "model.safetensors.index.json").write_text("{}")
    one, first = quantize.tokenizer_and_model(folder, cache)
    two, second = quantize.tokenizer_and_model(folder, cache)
    [place] = kept(cache)
    for file in folder.rglob("*"):
        name = file.relative_to(folder)
        if file.is_file() and file.suffix != ".safetensors" and "index" not in file.name:
            same = (place / name).read_bytes() == file.read_bytes()
            assert same is (file.name != "config.json"), name
    assert not (place / "model.safetensors.index.json").exists()
    assert first.generation_config.temperature == second.generation_config.temperature == 0.6
    assert one.get_vocab() == two.get_vocab()
    assert one.chat_template == two.chat_template


def test_without_settings_for_generation_there_are_none_afterwards(
    tmp_path: Path, cache: Path
) -> None:
    folder = saved(tmp_path / "model")
    (folder / "generation_config.json").unlink(missing_ok=True)
    load(folder, cache)
    assert not (kept(cache)[0] / "generation_config.json").exists()


def test_an_adapter_changes_what_was_kept_as_it_does_the_other(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "model")
    tokenizer = chatml_tokenizer()
    lora.write(tmp_path / "adapter", tiny_models.family(LLAMA, len(tokenizer)))
    plain, found = None, []
    for _ in range(2):
        model = load(folder, cache)
        plain = logits(model)
        Lora(model, adapters.read(str(tmp_path / "adapter")))
        found.append(logits(model))
    assert torch.equal(*found)
    assert not torch.equal(found[0], plain)


def test_a_folder_that_has_changed_is_quantized_again(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "model")
    load(folder, cache)
    shutil.rmtree(folder)
    saved(folder, intermediate_size=192)
    assert load(folder, cache).model.layers[0].mlp.up_proj.out_features == 192
    assert len(kept(cache)) == 2


def test_what_was_damaged_since_is_quantized_and_kept_again(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = saved(tmp_path / "model")
    first = load(folder, cache)
    [place] = kept(cache)
    (place / "model.safetensors").write_bytes(b"\xff" * 100)
    assert torch.equal(logits(first), logits(load(folder, cache)))
    assert (
        f"{place.name} in the cache is damaged or older, and made anew" in capsys.readouterr().out
    )
    assert kept(cache) == [place]
    assert (place / "model.safetensors").stat().st_size > 100


def test_where_there_is_no_disk_space_it_goes_on_and_says_so(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(100))
    model = load(saved(tmp_path / "model"), cache)
    assert isinstance(model.model.layers[0].mlp.up_proj, Linear4bit)
    assert [*cache.iterdir()] == []
    [line] = capsys.readouterr().out.splitlines()
    assert line == (
        "The next start quantizes model again: to keep it in 4 bits takes 0.0 GB of disk space"
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [(OSError(28, "No space left on device"), "No space left"), (SafetensorError("io"), "Safeten")],
)
def test_what_cannot_be_written_is_not_kept_and_nothing_of_it_is_left(
    tmp_path: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    why: str,
) -> None:
    def fail(_: PreTrainedModel, folder: Path, **__: Any) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise error

    folder = saved(tmp_path / "model")
    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fail)
    model = load(folder, cache)
    assert logits(model).isfinite().all()
    assert [*cache.iterdir()] == []
    assert f"again: it could not be kept ({why}" in capsys.readouterr().out


@pytest.mark.parametrize("reason", ["small", "no smaller", "ZeroGPU", "quantized already"])
def test_what_is_not_worth_it_is_not_kept(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    folder = saved(tmp_path / "model")
    match reason:
        case "small":
            monkeypatch.setattr(keep, "WORTH", 10**9)
        case "no smaller":
            monkeypatch.setattr(keep, "SHARE", 0.1)
        case "ZeroGPU":
            monkeypatch.setenv("SPACES_ZERO_GPU", "true")
        case _:
            tokenizer, model = quantize.tokenizer_and_model(folder, tmp_path)
            folder = tmp_path / "again"
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    load(folder, cache)
    assert [*cache.iterdir()] == []


def test_a_check_tells_what_will_be_kept_and_what_was(tmp_path: Path, cache: Path) -> None:
    folder = saved(tmp_path / "model")
    before = quantize.outlook(folder, cache)
    load(folder, cache)
    after = quantize.outlook(folder, cache)
    assert before.weights == (
        "to 4-bit NF4 while it loads, and kept in 0.0 GB if there is disk space"
    )
    assert after.weights == "converted to 4-bit NF4"
    assert before.disk == after.disk == 0
