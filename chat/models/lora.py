"""Adapters on a model of transformers, by PEFT."""

import warnings
from typing import Any

import torch
from peft import LoraConfig, PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from chat.models.adapters import PREFIX, WEIGHTS, Adapter, Adapters

#: The settings of LoraConfig that matter once it is trained.
SETTINGS = (
    "r",
    "lora_alpha",
    "rank_pattern",
    "alpha_pattern",
    "use_rslora",
    "use_dora",
    "fan_in_fan_out",
)

#: How the names of a layer's own weights end, once it has an adapter.
BASE = ".base_layer.weight"


class Lora:
    """A model's adapters, of which one is in use."""

    def __init__(self, model: PreTrainedModel, adapters: Adapters) -> None:
        """Put them all on `model`, in place; it computes as the first one has it.

        Raises:
            ModelError: one is for another model.
        """
        layers = _layers(model)
        # PEFT's own names may have no dots in them.
        self._names = {name: f"adapter{place}" for place, name in enumerate(adapters)}
        self._plain = {name for name, adapter in adapters.items() if not adapter}
        self._peft: Any = None
        self._used = ""
        for name, adapter in adapters.items():
            if adapter:
                adapter.check(layers)
                self._add(model, adapter, self._names[name])
        #: The name of the one that is used unless another one is named.
        self.default = next(iter(adapters))
        self.use(self.default)

    def use(self, name: str) -> None:
        """Have the model compute as the adapter of this name has it."""
        if name == self._used or not self._peft:
            return
        if name in self._plain:
            self._peft.base_model.disable_adapter_layers()
        else:
            self._peft.base_model.enable_adapter_layers()
            self._peft.set_adapter(self._names[name], inference_mode=True)
        self._used = name

    def _add(self, model: PreTrainedModel, adapter: Adapter, own: str) -> None:
        given = {key: adapter.config[key] for key in SETTINGS if adapter.config.get(key)}
        config = LoraConfig(
            **given, target_modules=adapter.layers, task_type="CAUSAL_LM", inference_mode=True
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a second adapter, which is meant
            try:
                if self._peft:
                    self._peft.add_adapter(own, config)
                else:
                    self._peft = PeftModel(model, config, own)
                found = set_peft_model_state_dict(self._peft, _weights(adapter, model), own)
            except (ValueError, RuntimeError, KeyError, TypeError, AttributeError):
                raise adapter.unfit("its parts are not those of this model's layers") from None
        missing = [key for key in found.missing_keys if f".{own}" in key]
        if missing or found.unexpected_keys:
            raise adapter.unfit("its parts are not those of this model's layers")


def _weights(adapter: Adapter, model: PreTrainedModel) -> dict[str, Tensor]:
    """Return its weights without those of the model, which PEFT keeps with an embedding's."""
    weights = load_file(adapter.folder / WEIGHTS, device=str(model.device))
    kept = {}
    for name, weight in weights.items():
        layer, of_model, _ = name.removeprefix(PREFIX).partition(BASE)
        if not of_model:
            kept[name] = weight
        elif not torch.equal(weight.to(model.dtype), model.get_parameter(layer + BASE)):
            raise adapter.unfit(f"it replaces {layer}, which all adapters here share")
    return kept


def _layers(model: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    sizes: dict[str, tuple[int, ...]] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            sizes[name] = module.out_features, module.in_features
        elif isinstance(module, Conv1D):
            sizes[name] = tuple(torch.Size(module.weight.shape)[::-1])
    return sizes
