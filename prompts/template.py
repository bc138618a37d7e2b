"""Any other model: the chat template that its tokenizer ships.

Source: `apply_chat_template` in transformers; the Jinja template comes with the
model. Control tokens that people typed are fenced with two private-use
characters before the template runs and cut out of its output afterwards, so
that they reach the tokenizer as plain text (the idea of transformers' own
`sanitize_control_tokens`). Some templates mark roles with ordinary text too:

    USER: Hi ASSISTANT:

What those marks are is seen by rendering a dialogue of stand-ins; wherever
people wrote one, an invisible U+2060 breaks it.
"""

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from prompts.base import (
    Control,
    Message,
    Piece,
    PromptError,
    PromptFormat,
    Role,
    check,
    control_tokens,
    defuse,
)

OPEN, CLOSE = "\ue0f0", "\ue0f1"
FENCES = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}|[{OPEN}{CLOSE}]")
BRACKETED = re.compile(r"(?<!\S)[\[<]\S+[\]>](?!\S)")


class Template(PromptFormat):
    """The tokenizer's own chat template.

    `tokenizer` is a transformers tokenizer that has one.
    """

    name = "template"

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer:
            raise PromptError("The format template needs a tokenizer, which brings the template.")
        if not tokenizer.chat_template:
            raise PromptError("This model's tokenizer has no chat template.")
        self._tokenizer = tokenizer
        longest_first = sorted(control_tokens(tokenizer), key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")
        self._marks: tuple[str, ...] = ()
        self._marks = self._find_marks()

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = check(messages)
        dialogue = [Message(role, self._fence(content)) for role, content in dialogue]
        try:
            rendered = self._render(None if system is None else self._fence(system), dialogue)
        except TemplateError as error:
            raise PromptError("This model's chat template refused the conversation.") from error
        parts = FENCES.split(rendered)
        return [part if index % 2 else Control(part) for index, part in enumerate(parts) if part]

    def _fence(self, text: str) -> str:
        text = defuse(text.replace(OPEN, "").replace(CLOSE, ""), self._marks)
        return self._controls.sub(f"{OPEN}\\g<0>{CLOSE}", text)

    def _render(self, system: str | None, dialogue: list[Message]) -> str:
        if system is None:
            return self._apply(dialogue)
        try:
            return self._apply([Message("system", system), *dialogue])
        except TemplateError:
            # Gemma's template, among others, has no system role.
            first = Message("user", f"{system}\n\n{dialogue[0].content}")
            return self._apply([first, *dialogue[1:]])

    def _apply(self, messages: list[Message]) -> str:
        rendered = self._tokenizer.apply_chat_template(
            [message._asdict() for message in messages],
            tokenize=False,
            add_generation_prompt=True,
        )
        return str(rendered)

    def _find_marks(self) -> tuple[str, ...]:
        """Return the ordinary text with which the template marks roles.

        That is every line between two contents, unless it is one word beside a
        control token (ChatML's `user`), and every word in brackets.
        """
        content = "\ue0f2\ue0f3"
        roles: tuple[Role, ...] = ("user", "assistant", "user")
        try:
            rendered = self._render(content, [Message(role, content) for role in roles])
        except TemplateError:
            return ()
        written = self._controls.sub("\n", rendered.replace(content, "\n"))
        lines = {line.strip() for line in written.splitlines()}
        bracketed = {word for line in lines for word in BRACKETED.findall(line)}
        return tuple({line for line in lines if line and not line.isalnum()} | bracketed)
