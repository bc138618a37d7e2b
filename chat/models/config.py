"""The small files beside a model's weights: what it is, and how its authors would use it."""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chat.models.unusable import unusable

SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
#: How many tokens a model was made for, where it says so.
LENGTH = "max_position_embeddings"
#: What models such as GPT-2 call them.
OLDER = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    LENGTH: "n_positions",
}
#: Numbers of parts, each of which is made, and numbers that are a width; and the most of them.
COUNTS = re.compile(r"(num|n)_(\w+_)?(layers?|heads?|experts?|groups?|blocks?)")
WIDTHS = re.compile(r"\w*(_size|_dim|_rank|_inner|_embd|_width)")
MOST, WIDEST = 10_000, 1 << 24


def read(folder: Path) -> dict[str, Any]:
    """Return what config.json says.

    Raises:
        ModelError: it is missing or damaged.
    """
    found = _object(folder / "config.json")
    if found is None:
        raise unusable("its config.json is missing or damaged; download it again")
    return found


def generation(folder: Path) -> dict[str, Any]:
    """Return what generation_config.json has in numbers; the rest of it is of no use here.

    `eos_token_id` is a list of ids; where the file has none, those of config.json.
    """
    found = _object(folder / "generation_config.json") or {}
    numbers = {name: value for name, value in found.items() if _is_number(value)}
    ids = eos_ids(found) or eos_ids(_object(folder / "config.json") or {})
    return {**numbers, "eos_token_id": sorted(ids)}


def shape(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the part that writes, its sizes by the names that they have today.

    Raises:
        ModelError: one of `SIZES` is not there, or something is not what it should be.
    """
    part = settings.get("text_config") or {}
    if not isinstance(part, Mapping):
        raise unusable("text_config in its config.json is damaged")
    found = {**settings, **part}
    found = {**{name: found[old] for name, old in OLDER.items() if old in found}, **found}
    if any(type(found.get(name)) is not int or found[name] < 1 for name in SIZES):
        raise unusable(f"its config.json does not say {', '.join(SIZES)}")
    if found.get(LENGTH) is None:
        found.pop(LENGTH, None)
    elif type(found[LENGTH]) is not int or found[LENGTH] < 1:
        raise unusable(f"{LENGTH} in its config.json is no number of tokens")
    return found


def oversized(settings: object) -> str | None:
    """Return a number in a config.json that no model can have, by its name; None without one."""
    for name, value in settings.items() if isinstance(settings, dict) else ():
        most = MOST if COUNTS.fullmatch(name) else WIDEST if WIDTHS.fullmatch(name) else math.inf
        if isinstance(value, int | float) and value > most:
            return f"{name} = {value:.3g}" if abs(value) < 1e300 else name
        if isinstance(value, dict) and (found := oversized(value)):
            return found
    return None


def token_bytes(shape: Mapping[str, Any]) -> int:
    """Return the bytes of a token's keys and values, in all layers of a model of such a shape.

    In numbers of 16 bits.
    """
    heads = shape.get("num_key_value_heads") or shape["num_attention_heads"]
    size = shape.get("head_dim") or shape["hidden_size"] // shape["num_attention_heads"]
    return int(2 * shape["num_hidden_layers"] * heads * size * 2)


def eos_ids(settings: Mapping[str, Any]) -> set[int]:
    """Return the ids that end a reply by one of these files: one, several or none."""
    found = settings.get("eos_token_id")
    ids = found if isinstance(found, list) else [found]
    return {id for id in ids if type(id) is int and id >= 0}


def _object(file: Path) -> dict[str, Any] | None:
    """Return the JSON object in a file, or None if there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))
