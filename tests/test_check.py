"""chat.check: whether and how a model would run, before it is loaded or downloaded."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from chat import check as module
from chat import load
from chat.check import check
from chat.errors import ModelError
from chat.models import ir, quantize
from chat.settings import Settings
from tests.support import families, gguf_file, lora, tiny_models
from tests.support.cards import cards
from tests.support.families import OTHERS, PLAIN
from tests.support.hub import hub

Check = Callable[..., tuple[int, dict[str, str]]]


def lines(out: str) -> dict[str, str]:
    """Return what is said, by its name; the lines are aligned."""
    assert all(line[15] == " " and line[16] != " " for line in out.splitlines())
    return {line[:16].strip(): line[16:] for line in out.splitlines()}


@pytest.fixture
def said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Check:
    """Check a model without a GPU; gives the exit code and what is said."""
    monkeypatch.setattr(load, "has_cuda", lambda: False)
    (tmp_path / "cache").mkdir()

    def run(model: Path | str, **settings: Any) -> tuple[int, dict[str, str]]:
        capsys.readouterr()
        chosen = Settings(check=str(model), cache_dir=tmp_path / "cache", **settings)
        code = check(chosen)
        assert list((tmp_path / "cache").iterdir()) == [], "nothing is converted"
        return code, lines(capsys.readouterr().out)

    return run


def test_a_folder_that_openvino_converts(said: Check, tmp_path: Path) -> None:
    families.save(PLAIN["Llama 3.2"](), tmp_path / "tiny")
    code, found = said(tmp_path / "tiny")
    assert code == 0
    assert list(found) == [
        "model",
        "engine",
        "weights",
        "chat template",
        "reasoning",
        "tools",
        "settings",
        "window",
        "people at once",
        "memory",
        "KV cache",
        "disk space",
        "runs",
    ]
    assert found["model"] == "tiny", "no path"
    assert found["engine"] == "OpenVINO"
    assert found["chat template"] == "recognised, as chatml"
    assert (found["reasoning"], found["tools"]) == ("no", "no")
    assert (found["window"], found["people at once"]) == ("512 tokens", "16")
    assert found["settings"] == "OpenVINO's own"
    assert found["disk space"].startswith("0.0 GB to convert, ")
    assert found["runs"] == "yes"
    assert said(tmp_path / "tiny", tune=None)[1]["settings"] == "to be found, once"


@pytest.mark.parametrize("name", ["Gemma 3", "Mistral with a window", "Qwen3 of experts"])
def test_a_family_that_openvino_does_not_take_is_for_transformers(
    said: Check, tmp_path: Path, name: str
) -> None:
    config, reason = OTHERS[name]
    families.save(config(), tmp_path / "tiny")
    code, found = said(tmp_path / "tiny")
    assert (code, found["engine"], found["not OpenVINO"]) == (0, "transformers", reason)
    assert (found["weights"], found["people at once"]) == ("to 4-bit NF4 while it loads", "1")
    code, found = said(tmp_path / "tiny", engine="openvino")
    assert code == 1
    assert found["runs"].startswith(f"no: OpenVINO cannot run this model: {reason}. Choose ")


def test_other_flags_count(said: Check, tmp_path: Path) -> None:
    families.save(PLAIN["Qwen3"](), tmp_path / "tiny")
    template = tmp_path / "mine.jinja"
    template.write_text("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    code, found = said(
        tmp_path / "tiny", context_window=100, parallel=3, chat_template=str(template)
    )
    assert code == 0
    assert (found["window"], found["people at once"]) == ("100 tokens", "3")
    assert found["chat template"] == "recognised, its own"
    code, found = said(tmp_path / "tiny", engine="transformers", prompt_format="plain")
    assert found["chat template"] == "not recognised, so that it continues texts"
    assert (found["engine"], found["people at once"]) == ("transformers", "1")
    code, found = said(tmp_path / "tiny", prompt_format="llama2")
    assert code == 1
    assert found["runs"].startswith("no: The prompt format llama2 needs the control token")


@pytest.mark.parametrize("in_parts", [False, True])
@pytest.mark.parametrize(("kind", "engine"), [("Q4_0", "OpenVINO"), ("Q5_0", "transformers")])
def test_a_gguf_file_whole_and_in_parts(
    said: Check, tmp_path: Path, kind: str, engine: str, in_parts: bool
) -> None:
    file = gguf_file.write(tmp_path / "tiny.gguf", kind)
    code, found = said(gguf_file.split(file, 3)[0] if in_parts else file)
    assert (code, found["model"], found["engine"]) == (0, "tiny", engine)
    assert found["weights"].startswith("to be converted")
    assert found["chat template"] == "recognised, as chatml"
    assert found["window"] == f"{gguf_file.TRAINED_FOR} tokens"


@pytest.mark.parametrize("engine", ["openvino", "transformers"])
def test_what_a_conversation_has_room_for_is_said_in_tokens(
    said: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    families.save(PLAIN["Llama 2"](), tmp_path / "tiny")
    rooms = []
    for free in (10e9, 20e9):
        memory = psutil.virtual_memory()._replace(available=free)
        monkeypatch.setattr(psutil, "virtual_memory", lambda memory=memory: memory)
        found = said(tmp_path / "tiny", engine=engine, parallel=64)[1]["KV cache"]
        size, tokens = re.fullmatch(
            r"(\d+\.\d) GB beside 0\.0 GB of weights, room for ([\d,]+) tokens of conversation",
            found,
        ).groups()
        rooms.append((float(size), int(tokens.replace(",", ""))))
    (less, few), (more, many) = rooms
    if (
        engine == "openvino"
    ):  # which takes what these people and as many others can use, and no more
        assert few == many == 2 * 64 * 512
    else:
        assert (less, more) == (10, 20)
        assert many == pytest.approx(2 * few, rel=0.01)
        assert few * 2 * 2 * 64 * quantize.compute_dtype().itemsize == pytest.approx(10e9, rel=0.01)


def test_a_model_that_one_gpu_has_no_room_for_is_divided_among_all(
    said: Check, tmp_path: Path
) -> None:
    families.save(PLAIN["Llama 2"](), tmp_path / "tiny")
    needed = quantize.loading_needs(tmp_path / "tiny")
    given = {}
    for part in (2, 0.8, 0.4):
        with cards(needed * part, needed * part):
            given[part] = said(tmp_path / "tiny", engine="transformers")
    assert "GPUs" not in given[2][1]
    assert given[0.8][1]["GPUs"].startswith("2, in turn")
    assert [code for code, _ in given.values()] == [0, 0, 1]
    assert "of GPU memory, and 0.0 GB are free" in given[0.4][1]["runs"]
    layer = needed * 0.3  # and more of it than that is in one layer, or in the embeddings
    with cards(layer, layer, layer, layer):
        code, found = said(tmp_path / "tiny", engine="transformers")
    assert (code, found["runs"][:46]) == (1, "no: This model fits into the memory of 4 GPUs ")


def test_the_table_of_a_t4_is_what_is_said_of_the_three_public_shapes() -> None:
    root = Path(__file__).parent.parent
    printed = subprocess.run(
        [sys.executable, "docs/memory.py"],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert printed.stdout.count("\n") == 5
    assert printed.stdout in (root / "docs" / "models.md").read_text()


def test_without_the_memory_it_would_not_run(
    said: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    memory = psutil.virtual_memory()._replace(available=100_000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    for engine in ("openvino", "transformers"):
        code, found = said(tmp_path / "tiny", engine=engine)
        assert code == 1
        assert "memory" in found["runs"]
        assert "Choose a smaller" in found["runs"]


def test_without_the_disk_space_it_would_not_run(
    said: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    code, found = said(tmp_path / "tiny")
    assert code == 1
    assert found["runs"].startswith("no: This model needs about 0.0 GB of disk space")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere.gguf", "There is no folder or .gguf file nowhere.gguf."),
        ("https://hub/owner/name", "A model is named as owner/name, not by an address."),
        ("config", "config is not a model folder: it has no config.json."),
    ],
)
def test_what_is_no_model_is_one_sentence(
    said: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    code, found = said(name)
    assert (code, found["runs"]) == (1, f"no: {sentence}")


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "unheard-of"}'])
def test_a_damaged_or_unknown_model_is_one_sentence(said: Check, tmp_path: Path, text: str) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    (tmp_path / "tiny" / "config.json").write_text(text)
    code, found = said(tmp_path / "tiny")
    assert code == 1
    assert found["runs"].startswith("no: The model could not be loaded")


def test_the_embedded_model_is_fetched_first(said: Check) -> None:
    code, found = said("embedded")
    assert code == 0
    assert list(found) == ["model", "disk space", "runs"]
    assert found["disk space"].startswith("0.1 GB to download")


def run(command: list[str], address: str, tmp_path: Path) -> tuple[int, dict[str, str]]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    settings = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
    ended = subprocess.run(
        [sys.executable, *command, "--cache-dir", str(tmp_path / "cache")],
        env={**kept, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    return ended.returncode, lines(ended.stdout)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["app.py", "--adapter", "owner/tales"], "tiny"),
        (["-m", "chat"], "ggufs:x-00001-of-00002.gguf"),
        (["-m", "chat"], "gated"),
    ],
)
def test_of_a_model_on_the_hub_only_small_files_are_downloaded(
    tmp_path: Path, command: list[str], name: str
) -> None:
    folder, ggufs = tmp_path / "tiny", tmp_path / "ggufs"
    config = PLAIN["Qwen3"]()
    config.intermediate_size = 32 * 1024
    families.save(config, folder, max_shard_size="20MB")
    assert sum(file.stat().st_size for file in folder.glob("*.safetensors")) > 40e6
    ggufs.mkdir()
    gguf_file.split(gguf_file.write(ggufs / "x.gguf"), 2)
    lora.write(tmp_path / "tales", tiny_models.llama())
    with hub(tiny=folder, ggufs=ggufs, tales=tmp_path / "tales") as (address, _):
        code, found = run([*command, "--check", f"owner/{name}"], address, tmp_path)
    if name == "gated":
        assert code == 1
        assert found["runs"].startswith("no: owner/gated is a gated model")
    else:
        assert (code, found["engine"], found["window"]) == (0, "OpenVINO", "512 tokens")
        assert found["weights"].startswith("to be converted")
    if name == "tiny":
        assert found["adapters"] == "tales"
        assert not list((tmp_path / "home").rglob("adapter_model.safetensors"))
    had = [file.stat().st_size for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert sum(had) < 1e6


def test_what_is_converted_already_is_taken_as_it_is(
    gguf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "has_cuda", lambda: False)
    converted = ir.place(gguf, gguf.parent)
    for model in (gguf, converted):
        assert check(Settings(check=str(model), cache_dir=gguf.parent)) == 0
        found = lines(capsys.readouterr().out)
        assert found["weights"].endswith("OpenVINO model")
        assert "disk space" not in found


def test_what_one_disk_is_to_hold_is_added_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=5_000_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    module._disk(("to download", 3e9, tmp_path), ("to convert", 2e9, tmp_path / "cache"))
    assert [line[16:] for line in capsys.readouterr().out.splitlines()] == [
        "3.0 GB to download, 5.0 GB free",
        "2.0 GB to convert, 2.0 GB free then",
    ]
    with pytest.raises(ModelError, match=r"about 3\.0 GB of disk space, and 2\.0 GB are free"):
        module._disk(("to download", 3e9, tmp_path), ("to convert", 3e9, tmp_path))
    module._disk(("to download", 3e9, tmp_path), ("to convert", 3e9, Path("/proc")))


def test_a_long_name_is_not_run_into_what_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    module._line("not the batched engine", "why")
    assert capsys.readouterr().out == "not the batched engine why\n"


def test_an_adapter_that_the_start_would_refuse_is_refused(said: Check, tmp_path: Path) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    lora.write(tmp_path / "tales", tiny_models.llama())
    code, found = said(tmp_path / "tiny", adapter=f"{tmp_path / 'tales'},none")
    assert (code, found["adapters"]) == (0, "tales, none")
    code, found = said(tmp_path / "tiny", adapter="./nowhere")
    assert (code, found["runs"]) == (1, "no: There is no folder ./nowhere, to be an adapter.")


def test_an_assistant_model_that_the_start_would_refuse_is_refused(
    said: Check, tmp_path: Path
) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    code, found = said(tmp_path / "tiny", assistant_model=str(tmp_path / "tiny"))
    assert (code, found["assistant"]) == (0, "tiny")
    code, found = said(tmp_path / "tiny", assistant_model="./nowhere")
    assert (code, found["runs"]) == (1, "no: There is no folder or .gguf file ./nowhere.")
    families.save(PLAIN["Llama 3"](), tmp_path / "other")
    state = json.loads((tmp_path / "other" / "tokenizer.json").read_text())
    vocabulary = state["model"]["vocab"]
    first, second = (token for token, id in vocabulary.items() if id in (300, 301))
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (tmp_path / "other" / "tokenizer.json").write_text(json.dumps(state))
    code, found = said(tmp_path / "tiny", assistant_model=str(tmp_path / "other"))
    assert code == 1
    assert found["runs"].startswith("no: The assistant model has another vocabulary ")
    fifths = gguf_file.write(tmp_path / "fifths.gguf", "Q5_0")
    code, found = said(tmp_path / "tiny", assistant_model=str(fifths))
    assert (code, found["runs"]) == (
        1,
        "no: OpenVINO cannot run the assistant model: it has weights in Q5_0.",
    )


def test_thinking_that_the_start_would_refuse_is_refused(said: Check, tmp_path: Path) -> None:
    families.save(PLAIN["Llama 3"](), tmp_path / "tiny")
    code, found = said(tmp_path / "tiny", thinking="on")
    assert (code, found["runs"][:30]) == (1, "no: This model does not think ")
