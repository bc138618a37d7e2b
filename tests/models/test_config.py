"""chat.models.config: config.json and generation_config.json, whatever is in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from chat.errors import ModelError
from chat.models import config


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"[1]", b"5", b"null", b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_object_is_said_to_be_damaged_or_ignored(tmp_path: Path, data: bytes) -> None:
    for name in ("config.json", "generation_config.json"):
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=r"its config\.json is missing or damaged; download it"):
        config.read(tmp_path)
    assert config.generation(tmp_path) == {"eos_token_id": []}


def test_numbers_are_kept_and_all_else_of_a_generation_config_is_not(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(
        '{"temperature": 0.7, "top_k": 20, "top_p": NaN, "min_p": -Infinity, "do_sample": true,'
        ' "max_new_tokens": "many", "cache_implementation": "odd", "x": null, "y": {"z": 1}}'
    )
    assert config.generation(tmp_path) == {"temperature": 0.7, "top_k": 20, "eos_token_id": []}


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (2, {2}),
        ([2, 7], {2, 7}),
        (None, set()),
        ("</s>", set()),
        ({"a": 1}, set()),
        ([[2]], set()),
        ([2, "x", None, True, -4, 1.0], {2}),
    ],
    ids=str,
)
def test_the_ids_that_end_a_reply_are_whole_numbers(given: Any, ids: set[int]) -> None:
    assert config.eos_ids({"eos_token_id": given}) == ids


def test_the_ids_of_config_json_count_where_the_other_has_none(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [3, 1]}))
    assert config.generation(tmp_path) == {"eos_token_id": [1, 3]}
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 2}))
    assert config.generation(tmp_path) == {"eos_token_id": [2]}


NEW = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 100}
OLD = {"n_embd": 8, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 100}


@pytest.mark.parametrize("settings", [NEW, {"text_config": NEW, "vocab_size": 5}, OLD], ids=str)
def test_sizes_have_one_name(settings: dict[str, Any]) -> None:
    found = config.shape(settings)
    assert {name: found[name] for name in NEW} == NEW
    assert found.get("max_position_embeddings") == settings.get("n_positions")


@pytest.mark.parametrize(
    "change", [{"hidden_size": None}, {"vocab_size": "x"}, {"num_hidden_layers": 0}]
)
def test_sizes_that_are_not_there_are_told_of(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"its config\.json does not say hidden_size, "):
        config.shape({**NEW, **change})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text_config": "x"}, r"text_config in its config\.json is damaged\."),
        *(
            (
                {"max_position_embeddings": odd},
                r"max_position_embeddings in its config\.json is no ",
            )
            for odd in ("512", 0, [512])
        ),
    ],
)
def test_what_is_no_part_and_no_length_is_told_of(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        config.shape({**NEW, **change})


def test_a_length_of_nothing_is_none() -> None:
    assert config.shape({**NEW, "max_position_embeddings": None}) == NEW
