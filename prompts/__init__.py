"""Prompt formats: how the models of each family are really prompted.

One small module a format. To add one, write `prompts/<name>.py` with a class
that has `name`, `stop` and `pieces` (see `prompts.base.PromptFormat`) and list
it in `FORMATS`. Nothing here imports anything from `chat`.

    python -m prompts chatml        shows what a format makes of a conversation
"""

from collections.abc import Callable
from typing import Any

from prompts.alpaca import Alpaca
from prompts.base import (
    Control,
    Message,
    Piece,
    PromptError,
    PromptFormat,
    Reply,
    Role,
    control_tokens,
)
from prompts.chatglm import ChatGLM
from prompts.chatglm3 import ChatGLM3
from prompts.chatml import ChatML
from prompts.llama2 import Llama2
from prompts.llama3 import Llama3
from prompts.plain import Plain
from prompts.template import Template

#: Each takes the model's tokenizer (None if only text is wanted) and whether a
#: base model's reply begins with the text it continues.
FORMATS: dict[str, Callable[[Any, bool], PromptFormat]] = {
    "llama2": lambda tokenizer, echo: Llama2(),
    "llama3": lambda tokenizer, echo: Llama3(),
    "chatml": lambda tokenizer, echo: ChatML(),
    "chatglm": lambda tokenizer, echo: ChatGLM(),
    "chatglm3": lambda tokenizer, echo: ChatGLM3(),
    "alpaca": lambda tokenizer, echo: Alpaca(_bos(tokenizer)),
    "plain": lambda tokenizer, echo: Plain(_bos(tokenizer), echo=echo),
    "template": lambda tokenizer, echo: Template(tokenizer),
}


def choose(tokenizer: Any, name: str = "auto", *, echo: bool = False) -> PromptFormat:
    """Return the format called `name`, or for "auto" the one the model was trained on.

    Raises:
        PromptError: no such format, or it does not fit this tokenizer.
    """
    if name == "auto":
        name = _recognise(tokenizer)
    if name not in FORMATS:
        raise PromptError(f"There is no prompt format {name!r}; there are {', '.join(FORMATS)}.")
    chosen = FORMATS[name](tokenizer, echo)
    vocabulary = tokenizer.get_vocab() if tokenizer else chosen.stop
    for token in chosen.stop:
        if token not in vocabulary:
            raise PromptError(
                f"The prompt format {name} needs the control token {token}, "
                "which this model's tokenizer does not have."
            )
    return chosen


def _recognise(tokenizer: Any) -> str:
    if not tokenizer:
        raise PromptError("Without a tokenizer the format must be named.")
    template = str(tokenizer.chat_template or "")
    if "[INST]" in template and "<<SYS>>" in template:
        return "llama2"
    # From 3.1 on the template also writes the date, as those models were trained.
    if "<|start_header_id|>" in template and "Cutting Knowledge Date" not in template:
        return "llama3"
    if template:
        return "template"
    if "<|im_start|>" in tokenizer.get_vocab():
        return "chatml"
    return "plain"


def _bos(tokenizer: Any) -> str:
    """Return the BOS token if the tokenizer puts one before a text by itself, else ""."""
    starts = tokenizer and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return str(tokenizer.bos_token) if starts else ""


__all__ = [
    "FORMATS",
    "Control",
    "Message",
    "Piece",
    "PromptError",
    "PromptFormat",
    "Reply",
    "Role",
    "choose",
    "control_tokens",
]
