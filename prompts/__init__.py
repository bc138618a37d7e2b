"""Prompt formats: how the models of each family are really prompted.

One small module a format. To add one, write `prompts/<name>.py` with a class
that has `name`, `stop` and `pieces` (see `prompts.base.PromptFormat`) and list
it in `FORMATS`. Nothing here imports anything from `chat`.
"""

from collections.abc import Callable
from typing import Any

from prompts.base import Control, Message, Piece, PromptError, PromptFormat, Role
from prompts.chatml import ChatML
from prompts.llama2 import Llama2
from prompts.template import Template, control_tokens

FORMATS: dict[str, Callable[[Any], PromptFormat]] = {
    "llama2": lambda tokenizer: Llama2(),
    "chatml": lambda tokenizer: ChatML(),
    "template": Template,
}


def choose(tokenizer: Any, name: str = "auto") -> PromptFormat:
    """Return the format called `name`, or for "auto" the one the model was trained on.

    Raises:
        PromptError: no such format, or none fits this tokenizer.
    """
    if name == "auto":
        name = _recognise(tokenizer)
    if name not in FORMATS:
        raise PromptError(f"There is no prompt format {name!r}; there are {', '.join(FORMATS)}.")
    chosen = FORMATS[name](tokenizer)
    vocabulary = tokenizer.get_vocab()
    for token in chosen.stop:
        if token not in vocabulary:
            raise PromptError(
                f"The prompt format {name} needs the control token {token}, "
                "which this model's tokenizer does not have."
            )
    return chosen


def _recognise(tokenizer: Any) -> str:
    template = str(tokenizer.chat_template or "")
    if "[INST]" in template and "<<SYS>>" in template:
        return "llama2"
    if template:
        return "template"
    if "<|im_start|>" in tokenizer.get_vocab():
        return "chatml"
    raise PromptError(
        "This model's tokenizer has no chat template, so it is probably a base model and not a "
        f"chat model; if you know its format, set it by hand: {', '.join(FORMATS)}."
    )


__all__ = [
    "FORMATS",
    "Control",
    "Message",
    "Piece",
    "PromptError",
    "PromptFormat",
    "Role",
    "choose",
    "control_tokens",
]
