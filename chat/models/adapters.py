"""Adapters (Hu et al., LoRA, 2021): small changes to a model's layers, as PEFT keeps them.

A layer W of [outputs, inputs] becomes W + scale · B·A, with A of [rank, inputs] and B of
[outputs, rank]. Several are named after commas, the default one first:

| name                | what it is                                            |
|---------------------|-------------------------------------------------------|
| `some/folder`       | a local folder, called by its own name                |
| `owner/name`        | a repository on the Hugging Face Hub, called `name`   |
| `tales=some/folder` | either, called `tales`                                |
| `none`              | the model as it is, which nobody could ask for else   |
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chat.errors import ModelError, printable

if TYPE_CHECKING:
    from chat.models.heads import Heads

NONE = "none"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
#: What PEFT writes before the names of a model's own modules.
PREFIX = "base_model.model."
#: How the name of a tensor goes on after that of its layer: A, B, the same of an embedding,
#: DoRA's sizes of rows, and the layer itself.
PARTS = re.compile(
    r"\.(lora_[AB]\.weight|lora_embedding_[AB]|lora_magnitude_vector|base_layer\.weight)$"
)
#: Settings that change what is computed in ways that are not known here.
FOREIGN = (
    "bias",
    "lora_bias",
    "modules_to_save",
    "layer_replication",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "target_parameters",
    "arrow_config",
    "use_qalora",
    "use_bdlora",
)
#: A pattern of layers' names as PEFT writes them, which takes no time to look for.
LAYERS = re.compile(r"\^?[\w.]{1,300}", re.ASCII)
OFF: tuple[Any, ...] = (None, False, "none", [], {})
#: Ways to begin a training that take what they begin with out of the model's own weights.
TAKING = ("pissa", "olora", "corda", "lora_ga", "loftq")

#: The linear layers of a model by their names, each with its outputs and inputs.
Layers = Mapping[str, tuple[int, ...]]


class Adapter(NamedTuple):
    """One that was read, and is whole."""

    name: str
    folder: Path
    #: Arguments of PEFT's LoraConfig.
    config: dict[str, Any]
    #: The shapes of its tensors by their names, which begin with those of layers.
    shapes: dict[str, tuple[int, ...]]

    @property
    def layers(self) -> list[str]:
        """What it changes."""
        return sorted({name.partition(".lora_")[0] for name in self.shapes if ".lora_" in name})

    @property
    def scale(self) -> float:
        """By what B·A is multiplied, in layers without a rank or an alpha of their own."""
        rank: int = self.config["r"]
        alpha: float = self.config["lora_alpha"]
        return alpha / (math.sqrt(rank) if self.config.get("use_rslora") else rank)

    def check(self, layers: Layers) -> None:
        """Raise ModelError if it is not for a model with these layers; embeddings are not asked."""
        for name in self.layers:
            a, b = (self.shapes.get(f"{name}.lora_{part}.weight") for part in "AB")
            if f"{name}.lora_embedding_A" in self.shapes:
                continue
            if not (a and b):
                raise self.unfit(f"half of what it has for {name} is missing")
            if not len(a) == len(b) == 2:
                raise self.unfit(f"what it has for {name} are no matrices")
            if not (self.config.get("rank_pattern") or a[0] == b[1] == self.config["r"]):
                raise self.unfit(f"it has {a[0]} for the rank of {name}, and another by {CONFIG}")
            if name not in layers:
                raise self.unfit(f"it is for a layer {name}, which this model does not have")
            there, here = ("{} to {}".format(*of) for of in ((a[1], b[0]), layers[name][::-1]))
            if there != here:
                raise self.unfit(f"it is for {there} values in {name}, and here it has {here}")

    def unfit(self, reason: str) -> ModelError:
        """Return the error for one that is of no use with the model."""
        base = str(self.config.get("base_model_name_or_path") or "")
        # A hub id; it may as well be a path on somebody's machine.
        made = f" It was made for {base}." if re.fullmatch(r"\w[\w.-]*/[\w.-]+", base) else ""
        return ModelError(f"The adapter {self.name} does not fit this model: {reason}.{made}")


#: By their names, the default one first; None is the model as it is.
Adapters = dict[str, Adapter | None]


def parse(text: str) -> dict[str, str]:
    """Return where each adapter is, by its name, of a list as `--adapter` has it.

    Raises:
        ValueError: it is no such list.
    """
    found: dict[str, str] = {}
    for one in filter(None, map(str.strip, text.split(","))):
        name, equals, where = one.partition("=")
        if not equals or "/" in name:  # a path
            name, where = Path(one).name, one
        if not NAME.fullmatch(name) or not where.strip() or (name == NONE and one != NONE):
            raise ValueError("write name=folder, with a name of letters, digits, dots and dashes")
        if name in found:
            raise ValueError(f"two are called {name}; write name=folder")
        found[name] = where.strip()
    return found


def read(text: str, heads: "Heads | None" = None) -> Adapters:
    """Return the adapters of such a list, downloaded if need be, or their `heads` alone.

    Raises:
        ModelError: there is no such adapter, or it cannot be had or used; says why.
    """
    from chat.models import locate  # not for --help: the hub's client takes longer than that

    return {
        name: None
        if name == NONE
        else _read(name, locate.adapter(where, CONFIG, WEIGHTS, heads=heads))
        for name, where in parse(text).items()
    }


def _read(name: str, folder: Path) -> Adapter:
    if not (folder / CONFIG).is_file():
        raise ModelError(f"The adapter {name} is none: there is no {CONFIG} in its folder.")
    if not (folder / WEIGHTS).is_file():
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        what = ", only pickled weights, which can run code when they are loaded" if pickled else ""
        raise ModelError(f"The adapter {name} has no {WEIGHTS}{what}.")
    try:
        config = json.loads((folder / CONFIG).read_text())
        from chat.models import tensors  # not before there is an adapter: it takes numpy

        found = tensors.header(folder / WEIGHTS).items()
        shapes = {name.removeprefix(PREFIX): tensor.shape for name, tensor in found}
        kind, rank, alpha = (config[key] for key in ("peft_type", "r", "lora_alpha"))
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ModelError):
        raise ModelError(f"The adapter {name} is damaged, or it is no LoRA adapter.") from None
    if kind != "LORA" or not shapes or not _positive(rank) or not _positive(alpha):
        raise ModelError(f"The adapter {name} is no LoRA adapter, or it is damaged.")
    if foreign := next((key for key in FOREIGN if config.get(key) not in OFF), None):
        raise ModelError(f"The adapter {name} has {foreign} set, which is not offered here.")
    begun = config.get("init_lora_weights")
    if isinstance(begun, str) and begun.lower().startswith(TAKING):
        raise ModelError(
            f"The adapter {name} is for weights that PEFT changes first ({printable(begun[:20])}), "
            "which is not offered here; save it anew with path_initial_model_for_weight_conversion."
        )
    own = [config.get(key) for key in ("rank_pattern", "alpha_pattern")]
    # Else PEFT would make matrices of that rank, whatever the weights are.
    if any(_odd(one, shapes) for one in (*own, *[{"layer": rank}] * bool(own[0]))):
        raise ModelError(f"The adapter {name} has ranks of layers that cannot be read.")
    if unknown := next((key for key in shapes if not PARTS.search(key)), None):
        raise ModelError(f"The adapter {name} has {unknown[:100]}, which is no part of a LoRA.")
    return Adapter(name, folder, config, shapes)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _odd(pattern: Any, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether numbers by patterns of layers' names are none, or such as no layer here has."""
    if not isinstance(pattern, dict):  # which PEFT refuses
        return False
    most = max(size for shape in shapes.values() for size in (*shape, 1))
    return any(
        not LAYERS.fullmatch(key) or not _positive(value) or value > most
        for key, value in pattern.items()
    )
