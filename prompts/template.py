"""Any other model: the chat template that its tokenizer ships.

Source: `apply_chat_template` in transformers; the Jinja template comes with the
model. Control tokens that people typed are fenced with two private-use
characters before the template runs and cut out of its output afterwards, so
that they reach the tokenizer as plain text (the idea of transformers' own
`sanitize_control_tokens`).
"""

import re
from collections.abc import Sequence
from typing import Any

from jinja2 import TemplateError

from prompts.base import Control, Message, Piece, PromptError, check

OPEN, CLOSE = "\ue0f0", "\ue0f1"
FENCES = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}|[{OPEN}{CLOSE}]")


class Template:
    """The tokenizer's own chat template.

    `tokenizer` is a transformers tokenizer that has one.
    """

    name = "template"
    stop: tuple[str, ...] = ()

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise PromptError("This model's tokenizer has no chat template.")
        self._tokenizer = tokenizer
        longest_first = sorted(control_tokens(tokenizer), key=len, reverse=True)
        self._controls = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        system, dialogue = check(messages)
        dialogue = [Message(role, self._fence(content)) for role, content in dialogue]
        try:
            rendered = self._render(system and self._fence(system), dialogue)
        except TemplateError as error:
            raise PromptError("This model's chat template refused the conversation.") from error
        parts = FENCES.split(rendered)
        return [part if index % 2 else Control(part) for index, part in enumerate(parts) if part]

    def _fence(self, text: str) -> str:
        text = text.replace(OPEN, "").replace(CLOSE, "")
        return self._controls.sub(f"{OPEN}\\g<0>{CLOSE}", text)

    def _render(self, system: str, dialogue: list[Message]) -> str:
        if not system:
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


def control_tokens(tokenizer: Any) -> set[str]:
    """Return the tokens that nothing a person writes may produce.

    All special tokens, and the other added tokens that the chat template
    writes (ChatGLM's role tokens are such); blank ones are ordinary text.
    """
    template = str(tokenizer.chat_template or "")
    return {
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special or (token.content in template and token.content.strip())
    }
