"""chat.models.adapters: which ones are named, and whether what is in their folders is of use."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from chat.errors import ModelError
from chat.models.adapters import Adapter, parse, read
from tests.support import lora, tiny_models

LAYERS = {"layers.0.q": (8, 4), "layers.0.k": (2, 4)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" , ", {}),
        ("some/folder", {"folder": "some/folder"}),
        ("~/folder/", {"folder": "~/folder/"}),
        ("owner/name", {"name": "owner/name"}),
        ("tales=some/folder", {"tales": "some/folder"}),
        ("~/with=in/it", {"it": "~/with=in/it"}),
        ("none, tales=a/b ,other/one", {"none": "none", "tales": "a/b", "one": "other/one"}),
    ],
)
def test_a_list_says_where_each_is(text: str, expected: dict[str, str]) -> None:
    assert parse(text) == expected
    assert list(parse(text)) == list(expected), "the first is the default one"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a/x,b/x", "two are called x"),
        ("x=a,x=b", "two are called x"),
        ("none,none", "two are called none"),
        ("none=a/b", "write name=folder"),
        ("./a=b", "write name=folder"),
        ("tales=", "write name=folder"),
        ("/", "write name=folder"),
        ("a/b c", "write name=folder"),
        ("ä=b/ü", "write name=folder"),
        (f"{'x' * 65}=a/b", "write name=folder"),
        ("a:b", "write name=folder"),
    ],
)
def test_a_name_that_could_not_be_asked_for_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(text)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters") / "tales"
    lora.write(folder, tiny_models.llama())
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy of one that is whole."""
    copy = tmp_path / "tales"
    copy.mkdir()
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        (copy / file).write_bytes((written / file).read_bytes())
    return copy


def test_what_is_whole_is_read(folder: Path) -> None:
    found = read(f"none,x={folder}")
    assert found["none"] is None
    adapter = found["x"]
    assert adapter
    assert adapter.scale == 2
    assert len(adapter.layers) == 2 * len(lora.ALL)
    assert adapter.shapes["model.layers.1.mlp.up_proj.lora_B.weight"] == (64, 4)


def test_the_scale_is_the_one_of_rslora_if_it_is_one(folder: Path) -> None:
    lora.change(folder, use_rslora=True)
    adapter = read(str(folder))["tales"]
    assert adapter
    assert adapter.scale == 4


def refusal(where: object) -> str:
    with pytest.raises(ModelError) as refused:
        read(f"tales={where}")
    return str(refused.value)


@pytest.mark.parametrize("where", ["/no/where", "./no", "~/no", "no", "a/b/c"])
def test_a_folder_that_is_not_there_gets_a_sentence(where: str) -> None:
    assert refusal(where) == f"There is no folder {where}, to be an adapter."


def test_an_adapter_of_the_hub_that_cannot_be_reached_gets_a_sentence() -> None:
    assert "owner/name is not on this machine" in refusal("owner/name")


def test_a_folder_without_a_config_is_no_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    assert refusal(folder) == (
        "The adapter tales is none: there is no adapter_config.json in its folder."
    )


@pytest.mark.parametrize("pickled", [True, False])
def test_pickled_weights_are_not_even_opened(folder: Path, pickled: bool) -> None:
    (folder / "adapter_model.safetensors").unlink()
    if pickled:
        (folder / "adapter_model.bin").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    sentence = refusal(folder)
    assert "has no adapter_model.safetensors" in sentence
    assert ("can run code" in sentence) == pickled


def garbage(folder: Path, how: str) -> None:
    file = folder / "adapter_model.safetensors"
    whole = file.read_bytes()
    match how:
        case "empty":
            file.write_bytes(b"")
        case "cut":
            file.write_bytes(whole[:-1])
        case "longer":
            file.write_bytes(whole + b"x")
        case "no header":
            file.write_bytes(b"x" * 2000)
        case "another header":
            file.write_bytes(struct.pack("<Q", 2) + b"[]")
        case "nothing in it":
            file.write_bytes(struct.pack("<Q", 2) + b"{}")
        case "no JSON":
            (folder / "adapter_config.json").write_text("{")
        case "a list":
            (folder / "adapter_config.json").write_text("[]")
        case "no rank":
            lora.change(folder, r=None)
        case "a rank of 0":
            lora.change(folder, r=0)
        case "an alpha of nothing":
            (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 1}')
        case "another kind":
            lora.change(folder, peft_type="IA3")


@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "cut",
        "longer",
        "no header",
        "another header",
        "nothing in it",
        "no JSON",
        "a list",
        "no rank",
        "a rank of 0",
        "an alpha of nothing",
        "another kind",
    ],
)
def test_what_is_damaged_or_no_lora_gets_a_sentence(folder: Path, how: str) -> None:
    garbage(folder, how)
    sentence = refusal(folder)
    assert "no LoRA adapter" in sentence
    assert "damaged" in sentence


@pytest.mark.parametrize(
    "settings",
    [
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"layer_replication": [[0, 1]]},
        {"trainable_token_indices": [1]},
        {"alora_invocation_tokens": [1]},
        {"lora_bias": True},
    ],
    ids=str,
)
def test_what_would_compute_something_else_is_refused_by_its_name(
    folder: Path, settings: dict[str, Any]
) -> None:
    lora.change(folder, **settings)
    assert f"has {next(iter(settings))} set" in refusal(folder)


@pytest.mark.parametrize("begun", ["pissa_niter_16", "OLoRA", "loftq"])
def test_what_was_trained_on_changed_weights_is_refused(folder: Path, begun: str) -> None:
    lora.change(folder, init_lora_weights=begun)
    assert f"for weights that PEFT changes first ({begun})" in refusal(folder)
    lora.change(folder, init_lora_weights="gaussian")
    assert read(str(folder))["tales"]


def test_a_tensor_that_is_no_part_of_a_lora_is_named(folder: Path) -> None:
    header = json.dumps(
        {"model.norm.weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    )
    data = struct.pack("<Q", len(header)) + header.encode() + b"1234"
    (folder / "adapter_model.safetensors").write_bytes(data)
    assert "model.norm.weight, which is no part of a LoRA" in refusal(folder)


def adapter(shapes: dict[str, tuple[int, ...]], base: str = "") -> Adapter:
    config = {"r": 2, "lora_alpha": 2, "base_model_name_or_path": base}
    return Adapter("tales", Path(), config, shapes)


FITS = {"layers.0.q.lora_A.weight": (2, 4), "layers.0.q.lora_B.weight": (8, 2)}


def test_an_adapter_for_some_of_the_layers_fits() -> None:
    adapter(FITS).check(LAYERS)


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (
            {"layers.9.q.lora_A.weight": (2, 4), "layers.9.q.lora_B.weight": (8, 2)},
            "it is for a layer layers.9.q, which this model does not have",
        ),
        (
            {"layers.0.k.lora_A.weight": (2, 4), "layers.0.k.lora_B.weight": (8, 2)},
            "it is for 4 to 8 values in layers.0.k, and here it has 4 to 2",
        ),
        (
            {**FITS, "layers.0.q.lora_A.weight": (2, 5)},
            "it is for 5 to 8 values in layers.0.q, and here it has 4 to 8",
        ),
        ({"layers.0.q.lora_A.weight": (2, 4)}, "half of what it has for layers.0.q is missing"),
    ],
)
def test_one_for_another_model_gets_a_sentence(
    shapes: dict[str, tuple[int, ...]], reason: str
) -> None:
    with pytest.raises(ModelError) as refused:
        adapter(shapes).check(LAYERS)
    assert str(refused.value) == f"The adapter tales does not fit this model: {reason}."


def test_the_model_that_it_was_made_for_is_named_but_no_path() -> None:
    for base, named in (("owner/name", True), ("/home/ann/model", False), ("./model", False)):
        sentence = str(adapter(FITS, base).unfit("why"))
        assert (f"It was made for {base}." in sentence) == named, base


def changed(written: Path, folder: Path, **settings: Any) -> Path:
    """Return a copy of an adapter with other settings."""
    shutil.copytree(written, folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
    return folder


@pytest.mark.parametrize("rank", [10**9, 5])
def test_a_rank_that_its_weights_have_not_is_told_of(
    written: Path, tmp_path: Path, rank: int
) -> None:
    adapter = read(str(changed(written, tmp_path / "tales", r=rank)))["tales"]
    assert adapter
    layers = {
        name: (
            adapter.shapes[f"{name}.lora_B.weight"][0],
            adapter.shapes[f"{name}.lora_A.weight"][1],
        )
        for name in adapter.layers
    }
    with pytest.raises(ModelError, match="for the rank of"):
        adapter.check(layers)


@pytest.mark.parametrize(
    "pattern", [{"q": 10**9}, {"q": 0}, {"(a+)+b": 4}, {"a*a*a*": 4}, {"q": "4"}]
)
@pytest.mark.parametrize("name", ["rank_pattern", "alpha_pattern"])
def test_patterns_of_layers_that_take_long_or_too_much_are_refused(
    written: Path, tmp_path: Path, name: str, pattern: Any
) -> None:
    folder = changed(written, tmp_path / "tales", **{name: pattern})
    with pytest.raises(ModelError, match="ranks of layers that cannot be read"):
        read(str(folder))


def test_layers_with_ranks_of_their_own_hide_no_other(written: Path, tmp_path: Path) -> None:
    folder = changed(written, tmp_path / "tales", r=10**9, rank_pattern={"q_proj": 4})
    with pytest.raises(ModelError, match="ranks of layers that cannot be read"):
        read(str(folder))
