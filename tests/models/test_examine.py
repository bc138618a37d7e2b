"""chat.models.examine: folders that anyone may have made."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from chat.errors import ModelError
from chat.models import examine, locate, tensors
from chat.models.examine import examined

numpy = pytest.importorskip("numpy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return one with all that is looked at, and nothing wrong with it."""
    made = tmp_path / "model"
    made.mkdir()
    write(made, "config.json", {"model_type": "llama", "num_hidden_layers": 2, "vocab_size": 9})
    save_file({name: numpy.zeros([2, 2], "float32") for name in "abc"}, made / "model.safetensors")
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.save(str(made / "tokenizer.json"))
    return made


def write(folder: Path, name: str, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, "utf-8")


def refused(folder: Path, sentence: str) -> None:
    with pytest.raises(ModelError) as caught:
        examined(folder)
    assert str(caught.value) == f"The model could not be loaded: {sentence}."


def test_a_good_one_is_looked_at_once(folder: Path, tmp_path: Path) -> None:
    assert examined(folder, tmp_path / "cache") == folder
    kept = list((tmp_path / "cache").iterdir())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examine, "PATIENCE", 0.001)
        examined(folder, tmp_path / "cache")
        write(folder, "tokenizer_config.json", {})
        with pytest.raises(ModelError, match="takes too much time or memory"):
            examined(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == kept


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("config.json", "[" * 100_000, "config.json is nested too deeply"),
        ("tokenizer_config.json", '{"a":' * 100_000, "tokenizer_config.json is nested too deeply"),
        (
            "config.json",
            {"num_hidden_layers": 10**9},
            "its config.json has num_hidden_layers = 1e+09",
        ),
        (
            "config.json",
            {"text_config": {"vocab_size": 10**400}},
            "its config.json has vocab_size",
        ),
        ("config.json", {"n_routed_experts": 1e12}, "its config.json has n_routed_experts = 1e+12"),
        (
            "config.json",
            {"num_hidden_layers": 4000},
            "it is incomplete: it has 4,000 layers in 3 tensors",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": dict.fromkeys(map(str, range(300_001)), 0)},
            "its tokenizer has 300,001 tokens besides its vocabulary",
        ),
        (
            "special_tokens_map.json",
            {"additional_special_tokens": [f"<{number}>" for number in range(10_001)]},
            "its tokenizer has 10,001 tokens besides its vocabulary",
        ),
        (
            "added_tokens.json",
            dict.fromkeys(map(str, range(300_001)), 0),
            "its tokenizer has 300,001 tokens besides its vocabulary",
        ),
        (
            "tokenizer_config.json",
            {"fast_tokenizer_files": ["tokenizer.4.0.0.json"]},
            "its tokenizer_config.json names other tokenizers than tokenizer.json",
        ),
    ],
)
def test_small_files_that_ask_for_too_much_are_named(
    folder: Path, name: str, content: Any, sentence: str
) -> None:
    write(folder, name, content)
    refused(folder, sentence)


def test_a_tokenizer_that_dies_of_a_text_is_refused(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"(a+)+b"), "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))
    refused(folder, "its tokenizer fails on some texts")


def test_what_takes_all_memory_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "MEMORY", 100_000_000)
    write(folder, "tokenizer.json", "[" + "[]," * 3_000_000 + "[]]")
    refused(folder, "tokenizer.json takes too much time or memory to be read")


def test_links_lead_nowhere_else(folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text("{}")
    (folder / "generation_config.json").symlink_to("config.json")
    assert examined(folder) == folder
    (folder / "tokenizer_config.json").symlink_to("../secret.json")
    refused(folder, "tokenizer_config.json is a link out of its folder")
    (folder / "tokenizer_config.json").unlink()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "a.jinja").touch()
    (folder / "additional_chat_templates").symlink_to(tmp_path / "templates")
    refused(folder, "a.jinja is a link out of its folder")


def test_an_index_names_no_files_elsewhere(folder: Path, tmp_path: Path) -> None:
    (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    write(folder, "model.safetensors.index.json", {"weight_map": {"a": "../model.safetensors"}})
    with pytest.raises(ModelError, match=r"^[^\n]*model\.safetensors\.index\.json is damaged\.$"):
        tensors.tensors(folder)


def test_what_never_ends_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "generation_config.json")
    refused(folder, "generation_config.json is no file")


def test_a_hubs_cache_leads_to_its_own_blobs(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "models--owner--name"
    (repository / "blobs").mkdir(parents=True)
    snapshot = repository / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        file.rename(repository / "blobs" / file.name)
        (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    assert examined(snapshot) == snapshot
    (snapshot / "config.json").unlink()
    (snapshot / "config.json").symlink_to("../../../elsewhere.json")
    refused(snapshot, "config.json is a link out of its folder")


def test_a_bomb_of_entities_is_refused_or_harmless(folder: Path) -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "a"}">' for n in range(30))
    write(folder, "openvino_model.xml", f"<!DOCTYPE a [{entities}]><a>&a29;</a>")
    assert examined(folder) == folder  # expat gives up at once, and OpenVINO knows no entities


def test_every_name_of_a_model_and_an_adapter_is_looked_at(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "generation_config.json")
    for found in (
        lambda: locate.locate(str(folder), tmp_path / "cache", cuda=False),
        lambda: locate.adapter(str(folder)),
    ):
        with pytest.raises(ModelError, match="is no file"):
            found()


def test_what_may_not_be_read_is_not_called_too_large(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, whose tests may be root's, who may read all."""

    def forbidden(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tensors, "tensors", forbidden)
    monkeypatch.setattr(examine.child, "limit", lambda *_: None)
    examine.main(str(folder), "0")
    said = capsys.readouterr().out.rpartition("\n")[2]
    assert said == "The model could not be loaded: Permission denied."
