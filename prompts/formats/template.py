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

from prompts.base import (
    Control,
    Message,
    Piece,
    PromptError,
    PromptFormat,
    Reply,
    Role,
    any_of,
    check,
    control_tokens,
    defuse,
    fold,
)

# Private-use characters, which are taken out of what people write.
OPEN, CLOSE, STAND_IN, FROM, TO = "\ue0f0", "\ue0f1", "\ue0f2", "\ue0f4", "\ue0f5"
CONTENT = re.compile(f"{FROM}([^{FROM}{TO}]*){TO}")
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
        controls = control_tokens(tokenizer)
        self._controls = any_of(controls)
        self._alike = any_of([fold(token).casefold() for token in controls])
        self.marks = self._find_marks()

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`; what people wrote without control tokens is in `Control`s."""
        system, dialogue = check(messages)
        dialogue = [Message(role, self._fence(content)) for role, content in dialogue]
        try:
            text = self._render(None if system is None else self._fence(system), dialogue)
        except Exception as error:  # of a template that anyone may have written
            raise PromptError("This model's chat template refused the conversation.") from error
        *before, last = CONTENT.split(text)
        pieces: list[Piece] = []
        # Between the written texts stand the people's, of which every other one is a reply.
        roles = ["system"] * (len(before) // 2 - len(dialogue)) + [role for role, _ in dialogue]
        for written, content, role in zip(before[::2], before[1::2], roles, strict=False):
            lead = written.removeprefix(last)
            if role == "assistant" and OPEN not in content and lead != written:
                pieces += [*_cut(last), Reply(_bare(content), before=_bare(lead), control=True)]
            else:
                pieces += _cut(written + content)
        return [*pieces, *_cut(last)]

    def _fence(self, text: str) -> str:
        """Break the marks in what someone wrote, and fence its control tokens."""
        for private in (OPEN, CLOSE, STAND_IN, FROM, TO):
            text = text.replace(private, "")
        # As if on lines of its own, which the template may put it on.
        text = defuse(f"\n{text}\n", self.marks)[1:-1]
        if self._alike.search(fold(self._controls.sub("", text)).casefold()):
            text = OPEN + text + CLOSE
        else:
            text = self._controls.sub(f"{OPEN}\\g<0>{CLOSE}", text)
        # The white space stays outside, where a template may strip it.
        inner = text.strip()
        start = text.find(inner)
        return f"{text[:start]}{FROM}{inner}{TO}{text[start + len(inner) :]}"

    def _render(self, system: str | None, dialogue: list[Message]) -> str:
        if system is None:
            return self._apply(dialogue)
        try:
            return self._apply([Message("system", system), *dialogue])
        except Exception:
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

        That is every line between two contents that has a letter, and every
        word in brackets. A line of one word (`user`) is a mark only as a whole
        line, and none at all beside a control token.
        """
        roles: tuple[Role, ...] = ("user", "assistant", "user")
        stand_ins = [Message(role, STAND_IN) for role in roles]
        text = ""
        for dialogue in (stand_ins, stand_ins[:1]):  # some templates take one turn only
            try:
                text = text or self._render(STAND_IN, dialogue)
            except Exception:
                continue
        marks = set()
        for line in text.replace(STAND_IN, "\n").splitlines():
            for part in self._controls.split(line):
                mark = part.strip()
                marks.update(BRACKETED.findall(mark))
                if mark.isalnum() and mark == line.strip():
                    marks.add(f"\n{mark}\n")
                elif not mark.isalnum() and any(map(str.isalpha, mark)):
                    marks.add(mark)
        return tuple(marks)


def _cut(text: str) -> list[Piece]:
    """Return what is inside fences as plain pieces, and the rest as written."""
    parts = FENCES.split(_bare(text))
    return [part if index % 2 else Control(part) for index, part in enumerate(parts) if part]


def _bare(text: str) -> str:
    return text.replace(FROM, "").replace(TO, "")
