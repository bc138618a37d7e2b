"""chat.models.ir: what OpenVINO can read, and the one conversion of a GGUF file."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import openvino
import psutil
import pytest

from chat.errors import ModelError
from chat.models import ir
from chat.models.locate import locate
from tests.support import families, gguf_file
from tests.support.tiny import chatml_tokenizer

EMPTY = '<?xml version="1.0"?><net name="Model0" version="11"></net>'


@pytest.mark.parametrize("kind", ["F16", "Q4_0", "Q4_1", "Q8_0"])
def test_the_usual_weights_are_read(tmp_path: Path, kind: str) -> None:
    assert ir.refusal(gguf_file.write(tmp_path / "tiny.gguf", kind), tmp_path) is None


def test_what_openvino_would_get_wrong_is_refused_with_the_reason(tmp_path: Path) -> None:
    other = gguf_file.write(tmp_path / "other.gguf", architecture="gemma3")
    assert ir.refusal(other, tmp_path) == "its architecture is gemma3"
    kind = gguf_file.write(tmp_path / "kind.gguf", "Q5_0")
    assert ir.refusal(kind, tmp_path) == "it has weights in Q5_0"
    scaled = gguf_file.write(tmp_path / "scaled.gguf", llama__rope__scaling__type="yarn")
    assert ir.refusal(scaled, tmp_path) == "it scales its positions"
    experts = gguf_file.write(tmp_path / "experts.gguf", llama__expert_count="8")
    assert ir.refusal(experts, tmp_path) == "it is a mixture of experts"


def test_biases_of_interleaved_heads_are_refused(tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", biases=True)
    assert ir.refusal(file, tmp_path) == "its attention has biases"
    other = gguf_file.write(tmp_path / "qwen.gguf", architecture="qwen2", biases=True)
    assert ir.refusal(other, tmp_path) is None


def test_matrices_in_32_bits_are_refused_and_norms_are_not(tmp_path: Path) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", "F32")
    assert ir.refusal(file, tmp_path) == "it has weights in F32"


def test_a_folder_is_read_if_it_is_an_openvino_model(tmp_path: Path) -> None:
    assert ir.refusal(tmp_path, tmp_path) == "it is not an OpenVINO model"
    (tmp_path / "openvino_model.xml").touch()
    assert ir.refusal(tmp_path, tmp_path) is None


@pytest.mark.model
@pytest.mark.parametrize("left", [None, 0, 1000, -1])
def test_weights_of_an_openvino_model_that_are_not_there_are_told_of(
    gguf: Path, tmp_path: Path, left: int | None
) -> None:
    _, converted = ir.tokenizer_and_folder(gguf, gguf.parent)
    folder = Path(shutil.copytree(converted, tmp_path / "model"))
    assert ir.tokenizer_and_folder(folder, tmp_path)[1] == folder
    weights = folder / "openvino_model.bin"
    if left is None:
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:left])
    how = "is missing" if left is None else "was cut off"
    with pytest.raises(ModelError, match=rf"^The model could not .*: openvino_model\.bin {how}\.$"):
        ir.tokenizer_and_folder(locate(str(folder), tmp_path, cuda=False), tmp_path)


def test_a_file_that_is_no_gguf_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF but not really" * 10)
    with pytest.raises(ModelError, match=r"model\.gguf is not a GGUF file, or it is damaged"):
        ir.refusal(tmp_path / "model.gguf", tmp_path)


@pytest.mark.model
def test_a_gguf_file_is_converted_once_with_the_tokenizer_that_it_holds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", "Q4_0")
    tokenizer, folder = ir.tokenizer_and_folder(file, tmp_path)
    assert "Converting tiny.gguf for OpenVINO, once" in capsys.readouterr().out
    text = "The quick <|im_start|>fox"
    assert tokenizer(text).input_ids == chatml_tokenizer()(text).input_ids
    assert tokenizer.chat_template == chatml_tokenizer().chat_template
    again, same = ir.tokenizer_and_folder(file, tmp_path)
    assert same == folder
    assert capsys.readouterr().out == ""
    assert again(text).input_ids == tokenizer(text).input_ids
    assert sorted(tmp_path.iterdir()) == sorted([file, folder]), "nothing else is left behind"


@pytest.mark.model
def test_what_was_converted_and_damaged_since_is_converted_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", "Q4_0")
    _, folder = ir.tokenizer_and_folder(file, tmp_path)
    whole = (folder / "openvino_tokenizer.bin").read_bytes()
    (folder / "openvino_tokenizer.bin").write_bytes(whole[:-1] + b"\xff")
    assert ir.outlook(file, tmp_path).weights == "to be converted as they are, once"
    capsys.readouterr()
    assert ir.tokenizer_and_folder(file, tmp_path)[1] == folder
    assert (folder / "openvino_tokenizer.bin").read_bytes() == whole
    assert capsys.readouterr().out == (
        f"{folder.name} in the cache is damaged or older, and made anew\n"
        "Converting tiny.gguf for OpenVINO, once\n"
    )


@pytest.mark.model
def test_a_safetensors_folder_is_converted_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, cache = tmp_path / "models--owner--Tiny-1.5B" / "snapshots" / "abc", tmp_path / "cache"
    cache.mkdir()
    families.save(families.PLAIN["Qwen3"](), source)
    capsys.readouterr()
    tokenizer, folder = ir.tokenizer_and_folder(source, cache)
    assert "Converting Tiny-1.5B for OpenVINO, once" in capsys.readouterr().out
    assert folder.name.startswith("Tiny-1.5B-ir-fused-")
    text = "The quick <|im_start|>fox"
    assert tokenizer(text).input_ids == chatml_tokenizer()(text).input_ids
    assert ir.tokenizer_and_folder(source, cache)[1] == folder
    assert capsys.readouterr().out == ""
    assert list(cache.iterdir()) == [folder], "nothing else is left behind"
    (source / "generation_config.json").write_text('{"top_k": 7}')
    assert ir.place(source, cache) != folder, "what has changed is converted anew"


@pytest.mark.model
def test_a_folder_that_cannot_be_converted_is_one_sentence_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    source, cache = tmp_path / "tiny", tmp_path / "cache"
    cache.mkdir()
    families.save(families.PLAIN["Qwen3"](), source)
    (source / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"^tiny could not be converted \(") as caught:
        ir.tokenizer_and_folder(source, cache)
    assert str(caught.value).endswith("Try --engine transformers.")
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.model
def test_a_file_that_openvino_cannot_convert_is_one_sentence_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:30_000])
    with pytest.raises(ModelError, match=r"tiny\.gguf could not be converted") as caught:
        ir.tokenizer_and_folder(file, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [file]


def test_without_the_memory_nothing_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf")
    memory = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(ModelError, match="GB of memory"):
        ir.tokenizer_and_folder(file, tmp_path)
    assert list(tmp_path.iterdir()) == [file]


def test_without_the_memory_or_the_disk_space_no_folder_is_converted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cache = tmp_path / "tiny", tmp_path / "cache"
    cache.mkdir()
    families.save(families.PLAIN["Qwen3"](), source)
    usage = shutil.disk_usage(cache)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ModelError, match="GB of disk space"):
        ir.tokenizer_and_folder(source, cache)
    memory = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    with pytest.raises(ModelError, match="GB of memory"):
        ir.tokenizer_and_folder(source, cache)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("missing", ["tokenizer.json", "openvino_tokenizer.xml"])
def test_an_openvino_folder_of_old_without_a_tokenizer_says_what_is_missing(
    tmp_path: Path, missing: str
) -> None:
    chatml_tokenizer().save_pretrained(tmp_path)
    for name in ("openvino_model.xml", "openvino_model.bin", "openvino_tokenizer.xml"):
        (tmp_path / name).write_text(EMPTY)
    (tmp_path / missing).unlink()
    with pytest.raises(ModelError, match=rf"tokenizer could not be loaded: .* no {missing}"):
        ir.tokenizer_and_folder(tmp_path, tmp_path)


def test_a_folder_without_a_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text(EMPTY)
    (tmp_path / "openvino_model.bin").touch()
    with pytest.raises(ModelError, match="tokenizer could not be loaded") as caught:
        ir.tokenizer_and_folder(tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_openvino_knows_the_property_that_is_not_documented() -> None:
    folder = Path(find_spec("openvino_genai").origin).parent
    [library] = folder.glob("libopenvino_genai.so.[0-9]*[0-9]")
    use = (
        "chat/models/ir.py has openvino_genai write the model that it makes of a GGUF file with it"
    )
    assert ir.SAVE.encode() in library.read_bytes(), use


@pytest.mark.model
@pytest.mark.parametrize("kind", ["F16", "Q4_0"])
def test_layers_are_fused_unless_adapters_need_them(tmp_path: Path, kind: str) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", kind)
    products = []
    for fused in (False, True):
        folder = ir.ready(file, tmp_path, fused=fused)
        model = openvino.Core().read_model(folder / "openvino_model.xml")
        products.append(sum(op.get_type_name() == "MatMul" for op in model.get_ops()))
    apart, together = products
    assert apart - together == 3 * gguf_file.LAYERS, "keys and values with queries, up with gate"
