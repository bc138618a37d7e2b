"""Adapters made on the spot with PEFT: random, and large enough to change every reply."""

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def write(folder: Path, model: PreTrainedModel, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """Write an adapter for `model` into `folder`, and return the model, merged with it."""
    settings: dict[str, Any] = {"r": 4, "lora_alpha": 8, "target_modules": ALL, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
        torch.manual_seed(seed)
        for name, weight in adapted.named_parameters():
            if "lora_" in name and "magnitude" not in name:
                torch.nn.init.normal_(weight, 0, 0.15)
        adapted.save_pretrained(folder)
        merged: PreTrainedModel = adapted.merge_and_unload()
    return merged.eval()


def change(folder: Path, **settings: Any) -> None:
    """Change the config of an adapter."""
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **settings}))
