"""Prompt formats: how the models of each family are really prompted.

One small module a format. To add one, write `prompts/formats/<name>.py` with a class
that has `name`, `stop` and `pieces` (see `prompts.base.PromptFormat`) and list
it in `FORMATS`. Nothing here imports anything from `chat`.

    python -m prompts chatml        shows what a format makes of a conversation
"""

from collections.abc import Callable
from typing import Any

from prompts import templates
from prompts.base import (
    PROBE,
    Call,
    Control,
    Message,
    Piece,
    PromptError,
    PromptFormat,
    Reply,
    Role,
    any_of,
    control_tokens,
    rendered,
    shown_of,
    thoughts_of,
    visible,
)
from prompts.calls import Tool
from prompts.formats.alpaca import Alpaca
from prompts.formats.chatglm import ChatGLM
from prompts.formats.chatglm3 import ChatGLM3
from prompts.formats.chatml import ChatML
from prompts.formats.llama2 import Llama2
from prompts.formats.llama3 import Llama3
from prompts.formats.plain import Plain
from prompts.formats.template import Template
from prompts.formats.tooled import Tooled

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
    if isinstance(chosen, Template) and chosen.silent:
        raise PromptError("This model's chat template leaves out what the user says.")
    if tokenizer and name != "template":
        _check_controls(chosen, tokenizer)
        if name != "plain" and (marks := thoughts_of(tokenizer)):
            chosen.thoughts = marks
            chosen.shown = shown_of(marks, any_of(control_tokens(tokenizer)))
    return chosen


def tooled(tokenizer: Any) -> Tooled | None:
    """Return how the model is told of tools, or None if it knows none."""
    try:
        return Tooled(tokenizer)
    except PromptError:
        return None


def _check_controls(chosen: PromptFormat, tokenizer: Any) -> None:
    """Raise PromptError if the tokenizer lacks a control token that the format writes."""
    if missing := _lacking(chosen, tokenizer):
        raise PromptError(
            f"The prompt format {chosen.name} needs the control token {missing}, "
            "which this model's tokenizer does not have."
        )


def _lacking(chosen: PromptFormat, tokenizer: Any) -> str:
    """Return a control token that a format writes and the tokenizer lacks, or nothing."""
    known = any_of(control_tokens(tokenizer))
    written = [piece.text for piece in chosen.pieces(PROBE) if isinstance(piece, Control)]
    return next(filter(None, (known.sub("", text) for text in (*chosen.stop, *written))), "")


def _recognise(tokenizer: Any) -> str:
    if not tokenizer:
        raise PromptError("Without a tokenizer the format must be named.")
    template = templates.default(tokenizer)
    if not template:
        return "plain" if _lacking(FORMATS["chatml"](tokenizer, False), tokenizer) else "chatml"
    for name in ("llama2", "llama3", "chatml"):
        chosen = FORMATS[name](tokenizer, False)
        ours = "".join(map(visible, chosen.pieces(PROBE)))
        if ours == rendered(tokenizer) and not _lacking(chosen, tokenizer):
            return name
    # Others have its marks between tokens of their own.
    own = {"<s>", "</s>"} <= {*control_tokens(tokenizer)}
    return "llama2" if own and "[INST]" in template and "<<SYS>>" in template else "template"


def _bos(tokenizer: Any) -> str:
    """Return the BOS token if the tokenizer puts one before a text by itself, else ""."""
    starts = tokenizer and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
    return str(tokenizer.bos_token) if starts else ""


__all__ = [
    "FORMATS",
    "Call",
    "Control",
    "Message",
    "Piece",
    "PromptError",
    "PromptFormat",
    "Reply",
    "Role",
    "Tool",
    "Tooled",
    "choose",
    "control_tokens",
    "tooled",
    "visible",
]
