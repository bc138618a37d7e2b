"""From a model's name to its files."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf import GGUFReader

from chat.errors import ModelError
from chat.models import locate as module
from chat.models.locate import from_hub, locate, title
from tests.support import gguf_file
from tests.support.hub import TOKEN, hub


def locate_in_a_process(name: str, home: Path, **environment: str) -> str:
    """Return what `locate` gives, or its error, in a process with its own hub settings."""
    program = (
        "import sys; from pathlib import Path; from chat.models.locate import locate\n"
        "from chat.errors import ModelError\n"
        "try: print(locate(sys.argv[1], Path(sys.argv[2]), cuda=len(sys.argv) > 3))\n"
        "except ModelError as error: print('ModelError:', error)\n"
    )
    cuda = [environment.pop("cuda")] if "cuda" in environment else []
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    run = subprocess.run(
        [sys.executable, "-c", program, name, str(home), *cuda],
        env={**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return run.stdout.strip().splitlines()[-1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "tiny.gguf").write_bytes(b"GGUF")
    return folder


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with hub(tiny=folder, empty=folder.parent, broken=folder) as (address, _):
        yield address


def test_a_local_folder_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    assert locate(str(folder), tmp_path, cuda=False) == folder


def test_a_local_gguf_file_is_taken_as_it_is(folder: Path, tmp_path: Path) -> None:
    assert locate(str(folder / "tiny.gguf"), tmp_path, cuda=False) == folder / "tiny.gguf"


def test_a_folder_without_weights_says_so(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors weights, only pickled ones"):
        locate(str(folder), tmp_path, cuda=False)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(ModelError, match=r"no \.safetensors weights\.$"):
        locate(str(folder), tmp_path, cuda=False)


def test_a_folder_that_holds_no_model_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a model folder"):
        locate(str(tmp_path), tmp_path, cuda=False)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "nowhere.gguf", "~/nowhere"])
def test_a_path_that_is_not_there_says_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"There is no folder or .gguf file {name}"):
        locate(name, tmp_path, cuda=False)


def test_a_file_of_another_kind_says_so(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"not a \.gguf file"):
        locate(str(folder / "config.json"), tmp_path, cuda=False)


def test_a_hub_model_is_downloaded_without_its_pickles(address: str, tmp_path: Path) -> None:
    found = Path(locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address))
    assert sorted(file.name for file in found.iterdir()) == ["config.json", "model.safetensors"]


def test_an_openvino_model_of_the_hub_comes_with_its_tokenizers(
    folder: Path, address: str, tmp_path: Path
) -> None:
    (folder / "model.safetensors").unlink()
    kinds = ("model", "tokenizer", "detokenizer")
    names = [f"openvino_{kind}.{ending}" for kind in kinds for ending in ("bin", "xml")]
    names += ["chat_template.jinja", "config.json", "generation_config.json", "tokenizer.json"]
    for name in [*names, "README.md", "openvino_config.txt.bin"]:
        (folder / name).write_text("{}")
    found = Path(locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address))
    assert sorted(file.name for file in found.iterdir()) == sorted(names)


def test_an_openvino_model_in_parts_is_refused_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "openvino_language_model.xml").touch()
    with pytest.raises(ModelError, match="an OpenVINO model in parts, for pictures too"):
        locate(str(folder), tmp_path, cuda=False)


def test_one_gguf_file_of_a_hub_repository_is_downloaded(address: str, tmp_path: Path) -> None:
    name = "owner/tiny:tiny.gguf"
    found = Path(locate_in_a_process(name, tmp_path / "home", HF_ENDPOINT=address))
    assert found.read_bytes() == b"GGUF"


def test_a_model_in_parts_is_found_by_its_first_and_downloaded_whole(
    folder: Path, address: str, tmp_path: Path
) -> None:
    (folder / "Q8_0").mkdir()
    parts = gguf_file.split(gguf_file.write(folder / "Q8_0" / "big.gguf"), 3)
    name = "owner/tiny:Q8_0/big-0000{}-of-00003.gguf"

    def had(part: int, **settings: str) -> str:
        return locate_in_a_process(name.format(part), tmp_path, **settings)

    found = Path(had(1, HF_ENDPOINT=address))
    assert len(GGUFReader(found).tensors) == len(GGUFReader(folder / "Q8_0" / "big.gguf").tensors)
    assert had(1, HF_HUB_OFFLINE="1") == str(found)
    assert "name its first part, Q8_0/big-00001-of-00003.gguf." in had(2, HF_ENDPOINT=address)
    parts[2].unlink()
    shutil.rmtree(tmp_path / "hub")
    said = had(1, HF_ENDPOINT=address)
    assert said == "ModelError: owner/tiny has no file Q8_0/big-00003-of-00003.gguf."


def test_templates_by_name_come_along_and_nothing_else_that_lies_in_folders(
    folder: Path, address: str, tmp_path: Path
) -> None:
    for path in ("additional_chat_templates/rag.jinja", "onnx/config.json", "x/a.safetensors"):
        (folder / path).parent.mkdir()
        (folder / path).write_text("{}")
    found = Path(locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address))
    files = [str(file.relative_to(found)) for file in found.rglob("*") if file.is_file()]
    assert sorted(files) == [
        "additional_chat_templates/rag.jinja",
        "config.json",
        "model.safetensors",
    ]


GPTQ = '{"quantization_config": {"quant_method": "gptq", "bits": 4}}'


def test_a_model_that_cannot_be_loaded_is_refused_before_it_is_downloaded(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "config.json").write_text(GPTQ)
    with hub(tiny=folder) as (address, asked):
        said = locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address)
    assert said.startswith("ModelError: This model is quantized with gptq already, which cannot")
    assert asked
    assert not any("safetensors" in path for path in asked)


@pytest.mark.parametrize("text", ['{"text_config": "x"}', "[1]", GPTQ + " " * 1_000_000])
def test_a_config_that_is_odd_or_large_is_left_to_who_reads_it_within_limits(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "config.json").write_text(text)
    module._require_loadable(
        "owner/name", lambda *_, **__: tmp_path, lambda *_: pytest.fail("it was read")
    )


def test_an_openvino_model_may_have_been_made_of_one_that_cannot_be_loaded(
    folder: Path, address: str, tmp_path: Path
) -> None:
    (folder / "config.json").write_text(GPTQ)
    (folder / "model.safetensors").unlink()
    for kind in ("xml", "bin"):
        (folder / f"openvino_model.{kind}").touch()
    found = Path(locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address))
    assert len(list(found.iterdir())) == 3


def test_a_downloaded_model_needs_no_hub_any_more(address: str, tmp_path: Path) -> None:
    first = locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=address)
    gone = "http://127.0.0.1:9"
    assert locate_in_a_process("owner/tiny", tmp_path / "home", HF_ENDPOINT=gone) == first
    assert locate_in_a_process("owner/tiny", tmp_path / "home", HF_HUB_OFFLINE="1") == first


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("owner/unknown", "There is no model owner/unknown on the Hugging Face Hub"),
        ("owner/gated", "owner/gated is a gated model: ask for access"),
        ("owner/tiny:other.gguf", "owner/tiny has no file other.gguf."),
        ("owner/tiny:model.safetensors", "model.safetensors is not a .gguf file"),
        ("not a name", "not a name is neither a local folder, nor a .gguf file, nor a hub id"),
    ],
)
def test_what_the_hub_refuses_is_explained(
    name: str, sentence: str, address: str, tmp_path: Path
) -> None:
    said = locate_in_a_process(name, tmp_path / "home", HF_ENDPOINT=address)
    assert said.startswith(f"ModelError: {sentence}")


def test_a_gated_model_comes_with_the_token_of_the_variable(address: str, tmp_path: Path) -> None:
    said = locate_in_a_process(
        "owner/gated", tmp_path / "home", HF_ENDPOINT=address, HF_TOKEN=TOKEN
    )
    assert Path(said, "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("owner/tiny", {"HF_ENDPOINT": "http://127.0.0.1:9"}),
        ("owner/tiny", {"HF_HUB_OFFLINE": "1"}),
        ("owner/tiny:tiny.gguf", {"HF_HUB_OFFLINE": "1"}),
    ],
)
def test_a_hub_out_of_reach_is_explained(
    name: str, settings: dict[str, str], tmp_path: Path
) -> None:
    said = locate_in_a_process(name, tmp_path / "home", **settings)
    assert "the Hugging Face Hub cannot be reached" in said


def test_a_download_that_breaks_off_is_explained(address: str, tmp_path: Path) -> None:
    said = locate_in_a_process("owner/broken", tmp_path / "home", HF_ENDPOINT=address)
    assert "the Hugging Face Hub cannot be reached" in said


@pytest.mark.parametrize("error", [RuntimeError("of Xet"), OSError("Consistency check failed")])
def test_however_a_download_breaks_off_it_is_a_sentence(error: Exception) -> None:
    def fetch() -> None:
        with from_hub("owner/name"):
            raise error

    with pytest.raises(ModelError, match=r"^The download of owner/name broke off; please start"):
        fetch()


def test_what_the_system_refuses_is_for_who_says_so() -> None:
    def fetch() -> None:
        with from_hub("owner/name"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        fetch()


def test_on_cuda_the_default_is_llama_2(tmp_path: Path) -> None:
    said = locate_in_a_process("auto", tmp_path / "home", HF_HUB_OFFLINE="1", cuda="yes")
    assert "NousResearch/Llama-2-7b-chat-hf is not on this machine" in said


def test_a_model_has_a_public_name_without_a_path(folder: Path) -> None:
    file = folder / "tiny.Q4_0.gguf"
    file.touch()
    here = os.path.relpath(folder)
    for name, public in [
        (str(folder), "model"),
        (f"{here}/", "model"),
        (str(file), "tiny.Q4_0"),
        ("owner/name", "owner/name"),
        ("owner/name-GGUF:name.Q4_K_M.gguf", "owner/name-GGUF:name.Q4_K_M.gguf"),
        ("embedded", "SmolLM2-135M-Instruct.Q4_1"),
        ("auto", "SmolLM2-135M-Instruct.Q4_1"),
    ]:
        assert title(name, cuda=False) == public
    assert title("auto", cuda=True) == "NousResearch/Llama-2-7b-chat-hf"
