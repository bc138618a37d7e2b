"""Any other model: the chat template that its tokenizer ships.

Source: `apply_chat_template` in transformers; the Jinja template comes with the
model. Control tokens that people typed are fenced with two private-use
characters before the template runs and cut out of its output afterwards, so
that they reach the tokenizer as plain text (the idea of transformers' own
`sanitize_control_tokens`). Some templates mark roles with ordinary text too:

    USER: Hi ASSISTANT:

What those marks are is seen by rendering dialogues of stand-ins; wherever
people wrote one, an invisible U+2060 breaks it.

Messages in an order that is not usual are rendered as they are if the template takes
them (see `prompts.taken`), else in the first of the orders in `prompts.order` that it takes.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
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
from prompts.order import Order, arranged, in_turns
from prompts.taken import STAND_IN, Taken

# Private-use characters, which are taken out of what people write.
OPEN, CLOSE, FROM, TO = "\ue0f0", "\ue0f1", "\ue0f4", "\ue0f5"
CONTENT = re.compile(f"{FROM}([^{FROM}{TO}]*){TO}")
FENCES = re.compile(f"{OPEN}([^{CLOSE}]*){CLOSE}|[{OPEN}{CLOSE}]")
BRACKETED = re.compile(r"(?<!\S)[\[<]\S+[\]>](?!\S)")

#: Dialogues in which a template shows the marks that it has. A system prompt is in each,
#: since some write one of their own where there is none.
DIALOGUES: list[tuple[Role, ...]] = [
    ("system", "user", "assistant", "user"),
    ("system", "user"),
    ("system", "assistant", "user"),
    ("system", "user", "assistant", "system", "user"),
    ("system", "user", "system"),
    ("system",),
]


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
        self._takes = Taken(self._apply)
        self.marks = self._find_marks()

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`; what people wrote without control tokens is in `Control`s."""
        check(messages)
        said, text = self._render(messages)
        *before, last = CONTENT.split(text)
        pieces: list[Piece] = []
        # Between the written texts stand the people's, of which some may be left out.
        contents = iter([(role, _inner(content)) for role, content in said])
        for written, content in zip(before[::2], before[1::2], strict=True):
            role = next((role for role, inner in contents if inner == content), None)
            lead = written.removeprefix(last)
            if role == "assistant" and OPEN not in content and lead != written:
                pieces += [*_cut(last), Reply(_bare(content), before=_bare(lead), control=True)]
            else:
                pieces += _cut(written + content)
        return [*pieces, *_cut(last)]

    def _render(self, messages: Sequence[Message]) -> tuple[list[Message], str]:
        """Return the fenced messages, in the order that the template takes, and its text."""
        failed: Exception | None = None
        for order in self._orders(messages):
            said = [Message(role, self._fence(content)) for role, content in order]
            try:
                return said, self._apply(said)
            except Exception as error:  # of a template that anyone may have written
                failed = error
        raise PromptError("This model's chat template refused the conversation.") from failed

    def _orders(self, messages: Sequence[Message]) -> Iterator[list[Message]]:
        """Yield the conversation in the orders to try, the most faithful first."""
        before: list[Message] = []
        for order in Order:
            said = arranged(messages, order)
            roles = tuple(message.role for message in said)
            if said != before and (in_turns(roles) or self._takes(roles)):
                yield said
            before = said

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

    def _apply(self, messages: Sequence[Message]) -> str:
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
        self.marks = ()
        text = ""
        for roles in DIALOGUES:
            with suppress(PromptError):  # some templates take one turn only
                text += self._render([Message(role, "x") for role in roles])[1] + "\n"
        marks = set()
        for line in re.sub(f"{FROM}.*?{TO}", "\n", text, flags=re.DOTALL).splitlines():
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


def _inner(fenced: str) -> str:
    """Return what of a fenced text is between its marks."""
    found = CONTENT.search(fenced)
    return found[1] if found else ""


def _bare(text: str) -> str:
    return text.replace(FROM, "").replace(TO, "")
