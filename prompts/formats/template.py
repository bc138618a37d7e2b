"""Any other model: the chat template that its tokenizer ships, or another one.

Source: `apply_chat_template` in transformers; the Jinja template comes with the
model. It sees what people wrote as they wrote it, and what it makes of that is
still known to be theirs (`prompts.taint`), so that control tokens in it reach
the tokenizer as plain text. Some templates mark roles with ordinary text too:

    USER: Hi ASSISTANT:

What those marks are is seen by rendering dialogues of stand-ins; wherever
people wrote one, an invisible U+2060 breaks it.

Messages in an order that is not usual are rendered as they are if the template takes
them (see `prompts.taken`), else in the first of the orders in `prompts.order` that it takes;
so a system prompt that a template refuses is put before the first message.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from types import MappingProxyType
from typing import Any, Self, get_args

from prompts import jinja, templates
from prompts.base import (
    Call,
    Control,
    Message,
    OptionsError,
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
    shown_of,
    thoughts_of,
)
from prompts.marks import Marks, Thinking
from prompts.order import Order, answered, arranged, in_turns
from prompts.renderer import TooMuch, renderer
from prompts.taint import TEMPLATE, Tainted, bare, taint
from prompts.taken import STAND_IN, Taken

ID = re.compile("[a-zA-Z0-9]{9}")
#: Names by which templates are told whether the model is to think.
SWITCHES = ("enable_thinking", "thinking")
#: How some are told that have neither.
OTHERWISE: dict[Thinking, list[dict[str, Any]]] = {
    "auto": [],
    "on": [{"thinking_mode": "enabled"}, {"reasoning_effort": "high"}],
    "off": [
        {"thinking_mode": "disabled"},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "no_think"},
    ],
}
#: Where templates look for what was thought before a reply, the most usual first: under a
#: name of its own, or in a part of the content.
IN_PARTS = "thinking"
THOUGHT_IN = {
    "reasoning_content": r"reasoning_content",
    "": rf"==\s*['\"]{IN_PARTS}['\"]",
    "reasoning": r"(\.|\[['\"])reasoning\b",
    "thinking": r"(\.|\[['\"])thinking\b",
    "thought": r"(\.|\[['\"])thought\b",
}
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

    Raises:
        PromptError: it has none, or several and none of them is the default, or
            it cannot be read.
    """

    name = "template"
    #: What may be called, as templates take it.
    tools: list[dict[str, Any]] | None = None
    #: What else a template is given, by the names that it has for it.
    _options: Mapping[str, Any] = MappingProxyType({})
    #: Whether it leaves out what the user says, in whatever way it is told.
    silent = False
    #: Whether a content is a list of parts, as templates of models for images too have it.
    _in_parts = False
    #: Whether it leaves out a system prompt without a word.
    _without_system = False
    #: What it is given so that the model thinks, or does not.
    _told: Mapping[Thinking, Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, tokenizer: Any, source: str = "") -> None:
        if not tokenizer:
            raise PromptError("The format template needs a tokenizer, which brings the template.")
        source = source or templates.default(tokenizer)
        if not source:
            raise PromptError("This model's tokenizer has no chat template.")
        self._template = renderer(source)
        self._names = self._template.names
        self._thought = _thought_key(source)
        self._tokens = tokenizer.special_tokens_map
        self._control_tokens = tuple(control_tokens(tokenizer))
        self._controls = any_of(self._control_tokens)
        self._alike = any_of([fold(token).casefold() for token in self._control_tokens])
        self._normalizer = tokenizer.is_fast and tokenizer.backend_tokenizer.normalizer
        with self._template.tried():
            self._look_at(tokenizer)

    def _look_at(self, tokenizer: Any) -> None:
        """See how the template writes what."""
        self._takes = self._taken()
        if self._takes.loses(("user",)):
            self._in_parts = True
            in_parts = self._taken()
            self._in_parts = in_parts.keeps(("user",))
            self._takes = in_parts if self._in_parts else self._takes
            self.silent = not self._in_parts and not self._takes.keeps(("system", "user"))
        self._without_system = self._takes.loses(("system", "user"))
        self.marks = self._find_marks()
        if marks := thoughts_of(tokenizer):
            self.thoughts = marks = self._as_written(marks)
            self.shown = shown_of(marks, self._controls)
            self.marks += tuple(one for one in marks[:2] if not self._controls.search(one))
            self._told = {"on": self._switch(marks, "on"), "off": self._switch(marks, "off")}
            self.switches = self._asked(self._told["on"]) != self._asked(self._told["off"])
        self.stop = self._ends()

    def _ends(self) -> tuple[str, ...]:
        """Return the control token after a reply, unless it is a mark of thoughts too.

        A GGUF file often names another one as its end, and so does the base of an adapter.
        """
        said = [
            Message("user", STAND_IN),
            Message("assistant", STAND_IN),
            Message("user", STAND_IN),
        ]
        with suppress(Exception):  # of a template that anyone may have written
            _, _, after, _ = self._apply(said).bare.split(STAND_IN)
            marks = self.thoughts
            known = "".join((*marks[:4], *marks.around)) if marks else ""
            end = self._controls.match(after.lstrip())
            if end and end[0] not in known:
                return (end[0],)
        return ()

    def _taken(self) -> Taken:
        return Taken(lambda messages: self._apply(messages).bare)

    def asking(self, thinking: Thinking, options: Mapping[str, Any] = MappingProxyType({})) -> Self:
        """See `PromptFormat.asking`; what the template has no name for changes nothing."""
        other = super().asking(thinking)
        told = {**self._told.get(thinking, {}), **options}
        known = {name: tainted(told[name]) for name in told.keys() & self._names}
        other._options = {**self._options, **known}
        return other

    def _asked(self, options: Mapping[str, Any]) -> str:
        """Return the prompt for a message, or "" if the template refuses that."""
        with suppress(Exception):  # of a template that anyone may have written
            return self.asking("auto", options)._apply([Message("user", STAND_IN)]).bare
        return ""

    def _switch(self, marks: Marks, thinking: Thinking) -> dict[str, Any]:
        """Return what the template is told so that its model thinks, or does not."""
        usual = dict.fromkeys(SWITCHES, thinking == "on")
        for told in (usual, *OTHERWISE[thinking]):
            end = self._asked(told).rpartition(STAND_IN)[2]
            if marks.left_open(end) is (thinking == "on"):
                return told
        return usual

    def _as_written(self, marks: Marks) -> Marks:
        """Return the marks with what this template writes between a thought and the reply."""
        said = [Message("user", STAND_IN), Message("assistant", STAND_IN, thought=STAND_IN)]
        with suppress(Exception):  # of a template that anyone may have written
            _, _, between, _ = self._apply(said).bare.split(STAND_IN)
            if between.count(marks.end) == 1:
                return marks._replace(closing=between)
        return marks

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`; what people wrote without control tokens is in `Control`s."""
        check(messages, get_args(Role))
        return self._pieces(self._defused(self._render(messages)))

    def _pieces(self, text: Tainted) -> list[Piece]:
        prompt = ""  # what stands before the reply, and perhaps before earlier ones
        for role, start, stop in text.runs():
            prompt = "" if role else text.bare[start:stop]
        plain = self._plain(text)
        pieces: list[Piece] = []
        written = ""
        for role, start, stop in text.runs():
            part = text.bare[start:stop]
            if not role:
                written = part
                continue
            lead = written.removeprefix(prompt)
            reply = part.strip() if role == "assistant" and not any(plain[start:stop]) else ""
            if reply and lead != written:
                before, _, after = part.partition(reply)
                pieces += [Control(prompt), Reply(reply, lead + before, after, control=True)]
            else:
                pieces += [Control(written), *_cut(part, plain[start:stop])]
            written = ""
        return [piece for piece in [*pieces, Control(written)] if piece != Control("")]

    def _plain(self, text: Tainted) -> bytearray:
        """Return, for each letter, whether it is someone's and looks like a control token's."""
        plain = bytearray(len(text.bare))
        for match in self._controls.finditer(text.bare):
            for place in range(*match.span()):
                plain[place] = text.owners[place] != TEMPLATE
        for role, start, stop in text.runs():
            others = self._controls.sub("", text.bare[start:stop])
            if role and self._reads_as_control(others):
                plain[start:stop] = b"\1" * (stop - start)
        return plain

    def _reads_as_control(self, text: str) -> bool:
        """Whether a tokenizer may see a control token in letters that are none."""
        if self._alike.search(fold(text).casefold()):
            return True
        # Some drop letters, accents by themselves for one.
        return bool(
            self._normalizer and self._controls.search(self._normalizer.normalize_str(text))
        )

    def _defused(self, text: Tainted) -> Tainted:
        """Return what the template made, with the marks broken that people wrote."""
        parts: list[str] = []
        for role, start, stop in text.runs():
            part = text[start:stop]
            # As if on lines of its own, which the template may put it on.
            broken = defuse(f"\n{bare(part)}\n", self.marks)[1:-1] if role else ""
            parts.append(taint(broken, role) if role and broken != part else part)
        return Tainted("".join(parts))

    def _render(self, messages: Sequence[Message]) -> Tainted:
        """Return what the template makes of the messages, in the order that it takes."""
        failed: Exception | None = None
        for order in self._orders(messages):
            try:
                text = self._apply(order)
            except TooMuch:
                raise
            except Exception as error:  # of a template that anyone may have written
                failed = error
            else:
                if self._fits(order) or _kept(order, text):
                    return text
        reason = f": {jinja.reason(failed)}" if failed else ""
        if self._options and self._plain_takes(messages):
            raise OptionsError(
                f"This model's chat template cannot do with these chat_template_kwargs{reason}."
            ) from failed
        raise PromptError(
            f"This model's chat template refused the conversation{reason}."
        ) from failed

    def _plain_takes(self, messages: Sequence[Message]) -> bool:
        """Whether the template takes the messages if it is told nothing besides."""
        other = copy(self)
        other._options = {}
        with suppress(PromptError):
            other._render(messages)
            return True
        return False

    def _orders(self, messages: Sequence[Message]) -> Iterator[list[Message]]:
        """Yield the conversation in the orders to try, the most faithful first."""
        orders: list[list[Message]] = []
        for order in Order:
            if (said := arranged(messages, order)) not in orders[-1:]:
                orders.append(said)
        # Beside calls no order may fit, and yet be taken.
        yield from list(filter(self._fits, orders)) or [*orders, *map(answered, orders)]

    def _fits(self, messages: Sequence[Message]) -> bool:
        """Whether the template takes these, by what it does with stand-ins."""
        # What is called and returned stands where templates have it.
        spoken = (one for one in messages if not one.calls and one.role != "tool")
        roles = tuple(one.role for one in spoken)
        if self._without_system and "system" in roles:
            return False
        return not roles or in_turns(roles) or self._takes(roles)

    def _apply(self, messages: Sequence[Message]) -> Tainted:
        text = self._template.render(
            {
                **self._options,
                **self._tokens,
                "messages": [self._entry(one) for one in messages],
                "tools": self.tools,
                "documents": None,
                "add_generation_prompt": True,
            }
        )
        return Tainted(text)

    def _entry(self, message: Message) -> dict[str, Any]:
        entry = _entry(message, self._thought)
        if self._in_parts and isinstance(entry["content"], str):
            entry["content"] = [{"type": "text", "text": entry["content"]}]
        return entry

    def _find_marks(self) -> tuple[str, ...]:
        """Return the ordinary text with which the template marks roles.

        That is every line between two contents that has a letter, and every
        word in brackets. A line of one word (`user`) is a mark only as a whole
        line, and none at all beside a control token.
        """
        text = ""
        for roles in DIALOGUES:
            with suppress(PromptError):  # some templates take one turn only
                text += self._render([Message(role, STAND_IN) for role in roles]).bare + "\n"
        marks = set()
        for line in text.replace(STAND_IN, "\n").splitlines():
            for part in self._controls.split(line):
                mark = part.strip()
                marks.update(BRACKETED.findall(mark))
                if mark.isalnum() and mark == line.strip():
                    marks.add(f"\n{mark}\n")
                elif mark.startswith("```"):
                    continue  # with which people fence their code
                elif not mark.isalnum() and any(map(str.isalpha, mark)):
                    marks.add(mark)
        return tuple(marks)


def _kept(messages: Sequence[Message], text: Tainted) -> bool:
    """Whether what a template wrote has all that the user and the system said."""
    return all(
        one.content.strip() in text.bare for one in messages if one.role in ("system", "user")
    )


def _thought_key(source: str) -> str | None:
    """Return the key of THOUGHT_IN that fits a template, or None."""
    return next((key for key, look in THOUGHT_IN.items() if re.search(look, source)), None)


def _entry(message: Message, key: str | None) -> dict[str, Any]:
    """Return a message as templates take it, in which all that came from outside is tainted.

    `key` says where the template looks for what was thought (see THOUGHT_IN).
    """
    entry: dict[str, Any] = {
        "role": message.role,
        "content": taint(message.content, message.role),
    }
    if message.thought and key is not None:
        thought = taint(message.thought, message.role)
        if key:
            entry[key] = thought
        else:
            said = {"type": "text", "text": entry["content"]}
            entry["content"] = [{"type": IN_PARTS, IN_PARTS: thought}, said]
    if message.calls:
        entry["tool_calls"] = [_called(call) for call in message.calls]
    if message.role == "tool":
        entry |= {"name": taint(message.name, "user"), "tool_call_id": _short(message.call_id)}
    return entry


def _called(call: Call) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    function = {"name": taint(call.name, "user"), "arguments": tainted(arguments)}
    return {"type": "function", "id": _short(call.id), "function": function}


def _short(id: str) -> str:
    """Return an id of nine letters for any: some templates take no others."""
    return id if ID.fullmatch(id) else hashlib.sha256(id.encode(errors="replace")).hexdigest()[:9]


def tainted(value: Any) -> Any:
    """Return a value out of JSON with each text in it tainted."""
    match value:
        case str():
            return taint(value, "user")
        case list():
            return list(map(tainted, value))
        case dict():
            return {tainted(key): tainted(entry) for key, entry in value.items()}
        case _:
            return value


def _cut(text: str, plain: bytearray) -> list[Piece]:
    """Return what of `text` is to be plain as plain pieces, and the rest as a template's."""
    pieces: list[Piece] = []
    for run in re.finditer(b"\0+|\1+", plain):
        part = text[run.start() : run.end()]
        pieces.append(part if plain[run.start()] else Control(part))
    return pieces
