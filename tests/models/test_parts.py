"""chat.models.parts: GGUF files in parts, and with an ending in capitals."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, GGUFWriter
from transformers import AutoModelForCausalLM

from chat.errors import ModelError
from chat.models import ir, quantize
from chat.models.locate import locate, title
from chat.models.parts import parts, require_whole
from tests.support import gguf_file


@pytest.fixture
def split(tmp_path: Path) -> list[Path]:
    """The parts of a model, in a folder of their own."""
    folder = tmp_path / "models"
    folder.mkdir()
    file = gguf_file.write(folder / "tiny.gguf", "Q4_0")
    found = gguf_file.split(file, 3)
    file.rename(tmp_path / "whole.gguf")
    return found


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    cache = tmp_path / "cache"
    cache.mkdir()
    return cache


def find(file: Path, cache: Path) -> Path:
    return locate(str(file), cache, cuda=False)


def test_parts_are_joined_to_the_file_that_they_were(
    split: list[Path], cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = find(split[0], cache)
    assert joined.name == "tiny.gguf"
    assert "Joining the 3 parts of tiny.gguf, once" in capsys.readouterr().out
    was, now = GGUFReader(tmp_path / "whole.gguf"), GGUFReader(joined)
    assert fields(was) == fields(now)
    tensors = {tensor.name: tensor for tensor in now.tensors}
    assert tensors.keys() == {tensor.name for tensor in was.tensors}
    for tensor in was.tensors:
        assert tensors[tensor.name].tensor_type == tensor.tensor_type
        assert list(tensors[tensor.name].shape) == list(tensor.shape)
        assert np.array_equal(tensors[tensor.name].data, tensor.data)
    assert find(split[0], cache) == joined
    assert capsys.readouterr().out == "", "they are joined once"


def fields(reader: GGUFReader) -> dict[str, Any]:
    names = [name for name in reader.fields if not name.startswith("GGUF.")]
    return {name: (reader.fields[name].contents(), reader.fields[name].types) for name in names}


@pytest.mark.parametrize(
    ("ending", "in_parts"), [(".gguf", True), (".GGUF", True), (".Gguf", False)]
)
def test_both_engines_read_what_was_in_parts_or_in_capitals(
    split: list[Path], cache: Path, tmp_path: Path, ending: str, in_parts: bool
) -> None:
    given = (
        split
        if in_parts
        else [Path(shutil.copy(tmp_path / "whole.gguf", split[0].parent / "one.gguf"))]
    )
    first, *_ = [file.rename(file.with_suffix(ending)) for file in given]
    source = find(first, cache)
    assert ir.refusal(source, cache) is None
    _, folder = ir.tokenizer_and_folder(source, cache)
    assert (folder / "openvino_model.bin").stat().st_size > 50_000
    tokenizer, model = quantize.tokenizer_and_model(source, cache)
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="whole.gguf")
    ids = tokenizer("hello there", return_tensors="pt")["input_ids"]
    near = reference(ids).logits - model(ids).logits.float()
    assert near.abs().mean() < reference(ids).logits.abs().mean() / 2, "no weight was made up"


@pytest.mark.parametrize("number", [2, 3])
def test_a_later_part_names_the_first(split: list[Path], cache: Path, number: int) -> None:
    sentence = (
        rf"^tiny-0000{number}-of-00003\.gguf is a later part of a model; "
        r"name its first part, tiny-00001-of-00003\.gguf\.$"
    )
    with pytest.raises(ModelError, match=sentence):
        find(split[number - 1], cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("number", [2, 3])
def test_a_part_that_is_missing_is_named(split: list[Path], cache: Path, number: int) -> None:
    split[number - 1].unlink()
    with pytest.raises(
        ModelError, match=rf"^tiny-0000{number}-of-00003\.gguf is missing: .*3 parts"
    ):
        find(split[0], cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("what", ["cut", "another", "the same twice", "junk", "empty"])
def test_parts_that_do_not_belong_together_are_one_sentence(
    split: list[Path], cache: Path, what: str
) -> None:
    data = split[1].read_bytes()
    match what:
        case "cut":
            split[1].write_bytes(data[: len(data) // 2])
        case "another":
            other = gguf_file.split(gguf_file.write(split[0].parent / "other.gguf"), 2)
            other[1].replace(split[1])
        case "the same twice":
            shutil.copy(split[2], split[1])
        case "junk":
            split[1].write_bytes(b"GGUF but not really" * 10)
        case "empty":
            split[1].write_bytes(b"")
    with pytest.raises(
        ModelError, match=r"^The parts of tiny\.gguf do not belong together[^\n]*\.$"
    ):
        find(split[0], cache)
    assert list(cache.iterdir()) == []


def test_without_the_disk_space_nothing_is_joined(
    split: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(cache)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelError, match="GB of disk space"):
        find(split[0], cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("engine", ["openvino", "transformers"])
def test_a_part_under_another_name_is_refused_and_not_filled_up(
    split: list[Path], cache: Path, engine: str
) -> None:
    file = split[0].rename(split[0].with_name("mine.gguf"))
    source = find(file, cache)
    read = {"openvino": ir.refusal, "transformers": quantize.tokenizer_and_model}[engine]
    with pytest.raises(ModelError, match=r"^mine\.gguf is one of 3 parts of a model, but is not"):
        read(source, cache)


def test_a_later_part_under_another_name_is_refused_too(cache: Path, tmp_path: Path) -> None:
    """As llama-gguf-split writes it, with nothing in it but what says so."""
    writer = GGUFWriter(tmp_path / "mine.gguf", "")
    writer.kv_data[0].clear()
    writer.add_uint16("split.no", 1)
    writer.add_uint16("split.count", 2)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for read in READ.values():
        with pytest.raises(ModelError, match=r"^mine\.gguf is one of 2 parts of a model"):
            read(tmp_path / "mine.gguf", cache)


READ: dict[str, Callable[[Path, Path], Any]] = {
    "openvino": ir.refusal,
    "transformers": quantize.tokenizer_and_model,
}
on_both = pytest.mark.parametrize("engine", READ)


def refused(engine: str, file: Path, cache: Path) -> str:
    with pytest.raises(ModelError) as caught:
        READ[engine](file, cache)
    assert list(cache.iterdir()) == [], "nothing is kept as if it were whole"
    said = str(caught.value)
    assert said.startswith("The model could not be loaded: ")
    assert "\n" not in said
    return said


@on_both
@pytest.mark.parametrize(
    ("kind", "without"),
    [
        ("F16", "blk.1.attn_q"),
        *(
            ("Q4_0", name)
            for name in ("blk.0.ffn_norm", "blk.1.(?!attn_norm)", "token_embd", "output_norm")
        ),
    ],
)
def test_weights_that_are_missing_are_told_of(
    cache: Path, tmp_path: Path, engine: str, kind: str, without: str
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", kind, without=without)
    assert "incomplete, without" in refused(engine, file, cache)


@on_both
def test_layers_that_are_missing_are_counted(cache: Path, tmp_path: Path, engine: str) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", without="blk.1")
    assert "tiny.gguf is incomplete, without 1 of its 2 layers." in refused(engine, file, cache)


@on_both
def test_layers_that_are_too_many_are_counted(cache: Path, tmp_path: Path, engine: str) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", layers=1)
    assert "tiny.gguf has 2 layers, and 1 by its description." in refused(engine, file, cache)


@on_both
@pytest.mark.parametrize("left", [0, 100, 0.5, -40])
def test_a_file_that_was_cut_off_is_told_of(
    cache: Path, tmp_path: Path, engine: str, left: float
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", "Q4_0")
    data = file.read_bytes()
    file.write_bytes(data[: int(left * len(data)) if 0 < left < 1 else int(left)])
    assert "tiny.gguf is not a GGUF file, or it is damaged or cut off." in refused(
        engine, file, cache
    )


def test_a_head_that_is_tied_to_the_embeddings_is_not_missed(cache: Path, tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", without="output$")
    assert ir.refusal(file, cache) is None
    _, model = quantize.tokenizer_and_model(file, cache)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_layers_that_draft_may_be_left_out(cache: Path, tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", layers=3)
    reader = GGUFReader(file)
    with pytest.raises(ModelError):
        require_whole(file.name, reader)
    file = gguf_file.write(tmp_path / "drafts.gguf", layers=3, drafting=1)
    require_whole(file.name, GGUFReader(file))


@pytest.mark.parametrize("key", ["block_count", "nextn_predict_layers"])
def test_more_layers_than_can_be_counted_are_one_sentence(tmp_path: Path, key: str) -> None:
    writer = GGUFWriter(tmp_path / "tiny.gguf", "llama")
    writer.add_uint64("llama.block_count", 2)
    writer.add_uint64("llama.nextn_predict_layers", 0)
    writer.add_uint64(f"llama.{key}", 1 << 63)
    writer.add_tensor("blk.0.attn_q.weight", np.ones((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(ModelError, match=r"tiny\.gguf has 9\.22e\+18 layers by its description\.$"):
        require_whole("tiny.gguf", GGUFReader(tmp_path / "tiny.gguf"))


def test_a_file_of_one_part_is_taken_as_it_is(cache: Path, tmp_path: Path) -> None:
    (only,) = gguf_file.split(gguf_file.write(tmp_path / "tiny.gguf"), 1)
    assert find(only, cache) == only
    assert ir.refusal(only, cache) is None


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("model.gguf", 1),
        ("model-1-of-3.gguf", 1),
        ("model-00001-of-00002", 1),
        ("model-00001-of-00000.gguf", 1),
        ("-00001-of-00002.gguf", 1),
        ("model-00001-of-00002.gguf", 2),
        ("Q4_K_M/model-00001-of-00012.GGUF", 12),
    ],
)
def test_parts_are_told_by_their_names(name: str, number: int) -> None:
    assert len(parts(name)) == number
    assert parts(name)[0] == name


def test_a_model_in_parts_is_called_as_the_whole(split: list[Path], tmp_path: Path) -> None:
    assert title(str(split[0]), cuda=False) == "tiny"
    (tmp_path / "Big.GGUF").touch()
    assert title(str(tmp_path / "Big.GGUF"), cuda=False) == "Big"
