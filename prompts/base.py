"""What a prompt format is: it turns messages into pieces of prompt.

A chat model is prompted with one long sequence of tokens. Some of those tokens
are *control tokens* (`<|im_start|>`, `</s>`): they mark whose turn it is and no
text that a person writes may ever produce them. So a format does not return a
string. It returns pieces, in which what the format itself wrote (`Control`) and
what people wrote (plain `str`) stay apart until they are token ids
(`prompts.encoder`).
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, Self

from prompts.marks import Marks, Thinking, recognised

Role = Literal["system", "user", "assistant", "tool"]
#: Those that every format can carry.
SPEAKERS: tuple[Role, ...] = ("system", "user", "assistant")

WORD_JOINER = "\u2060"


class Call(NamedTuple):
    """A call of a tool, as an assistant writes it."""

    name: str
    #: An object in JSON, or what of it is written so far.
    arguments: str
    #: By which its result names it.
    id: str = ""


class Message(NamedTuple):
    """One message of a conversation."""

    role: Role
    content: str
    #: What the assistant calls after it.
    calls: tuple[Call, ...] = ()
    #: Of a tool, and of the call that this is the result of.
    name: str = ""
    call_id: str = ""
    #: What the assistant thought before it. Without a content it has not ended.
    thought: str = ""

    @property
    def entry(self) -> dict[str, str]:
        """Whose it is and what it says, as pages, files and chat templates hold messages."""
        thought = {"reasoning_content": self.thought} if self.thought else {}
        return {"role": self.role, "content": self.content, **thought}

    @property
    def size(self) -> int:
        """How many characters are in it."""
        calls = sum(len(call.name) + len(call.arguments) for call in self.calls)
        return len(self.name) + len(self.content) + len(self.thought) + calls


@dataclass(frozen=True)
class Control:
    """Prompt text written by a format: control tokens in it are read as such."""

    text: str


@dataclass(frozen=True)
class Reply:
    """An earlier reply, for which the ids that were generated may still be known.

    If they are, they stand for all three parts, and the prompt begins with the
    very ids that the model has read and written before. If not, the three are
    text like any other, encoded as one with the pieces of the same kind before
    and after them: strings, or with `control` what a template wrote.
    """

    content: str
    before: str = ""
    after: str = ""
    control: bool = False


@dataclass(frozen=True)
class Ids:
    """A part of a prompt that is token ids already."""

    ids: tuple[int, ...]


Piece = Control | Reply | Ids | str


def visible(piece: Piece) -> str:
    """Return a piece as text, control tokens visible; ids are none."""
    match piece:
        case Ids():
            return ""
        case Control(text):
            return text
        case Reply(content, before, after, _):
            return before + content + after
        case _:
            return piece


class PromptError(ValueError):
    """A prompt cannot be composed; the message is one sentence for the user."""

    #: What is to blame: what people wrote, or the `options` of `PromptFormat.asking`.
    field = "message"


class OptionsError(PromptError):
    """A chat template cannot do with what it is told besides the conversation."""

    field = "options"


class Read(NamedTuple):
    """A reply, or what is there of it, as it was read."""

    #: What it says.
    content: str
    #: What it calls; of the last one there may be only a part.
    calls: tuple[Call, ...] = ()
    #: Whether nothing that may follow would count.
    done: bool = False


NOTHING = Message("assistant", "")


class Begun(NamedTuple):
    """A prompt, and what of the reply is there already."""

    prompt: list[Piece]
    reply: Sequence[Piece] = ()
    #: The mark in the prompt that begins a thought, if it leaves one open.
    lead: str = ""
    #: Whether the model may think before it says anything.
    thinks: bool = False

    @property
    def pieces(self) -> list[Piece]:
        """All of it."""
        return [*self.prompt, *self.reply]


class PromptFormat(Protocol):
    """Composes the prompt of one family of models, and reads what they write."""

    name: str
    #: Control tokens that end a reply, besides the tokenizer's own EOS.
    stop: tuple[str, ...] = ()
    #: Ordinary text that marks a role, and is broken wherever people wrote it.
    marks: tuple[str, ...] = ()
    #: What stands between the prompt and a reply whose ids are not known.
    gap: str = ""
    #: Control tokens that `read` needs to see.
    shown: tuple[str, ...] = ()
    #: How the model writes its thoughts, if it has any.
    thoughts: Marks | None = None
    #: Whether it is to think.
    thinking: Thinking = "auto"
    #: Whether its prompts say so by themselves.
    switches: bool = False

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """Return the prompt that asks for the next assistant message.

        `messages` may come in any order; what a format cannot carry as it is, it
        carries as `prompts.order` says. Strings next to each other are encoded
        one by one, unless a `Reply` without known ids joins them.

        Raises:
            PromptError: there is nothing to answer (see `check`).
        """
        ...

    def asking(self, thinking: Thinking, options: Mapping[str, Any] = MappingProxyType({})) -> Self:
        """Return the same format for a model that is to think, or not.

        `options` are for a chat template, which may have names for more than that.
        """
        other = copy(self)
        other.thinking = thinking
        return other

    def begun(self, messages: Sequence[Message], reply: Message = NOTHING) -> Begun:
        """Return the prompt that asks for a reply, or for the rest of one."""
        prompt, marks = self.pieces(messages), self.thoughts
        said: list[Piece] = []
        if reply.content:
            said.append(Reply(defuse(reply.content, self.marks), before=self.gap))
        if not marks:
            return Begun(prompt, said)
        # What a template wrote itself, and no person.
        end = prompt[-1].text if prompt and isinstance(prompt[-1], Control) else ""
        open = marks.left_open(end)
        if self.thinking == "off":
            ended = open is False or (open is None and self.switches)
            closing = "" if ended else marks.closing if open else marks.empty
            return Begun([*prompt, *[Control(closing)] * bool(closing)], said)
        if open is False:
            return Begun(prompt, said)
        thought: list[Piece] = [Reply(defuse(reply.thought, self.marks))] if reply.thought else []
        if thought and not open:
            thought.insert(0, Control(marks.opening))
        if said and (thought or open):
            thought.append(Control(marks.closing))
        return Begun(prompt, [*thought, *said], marks.begin if open else "", not said)

    def opening(self, messages: Sequence[Message]) -> str | None:
        """Return the text that the reply continues, or None: a chat's reply begins anew."""
        return None

    def read(self, reply: str, *, finished: bool) -> Read:
        """Return what the reply so far says and calls."""
        return Read(reply)


def check(
    messages: Sequence[Message], roles: tuple[Role, ...] = SPEAKERS
) -> tuple[str | None, list[Message]]:
    """Split messages into the system prompt that comes first (None without one) and the rest.

    Raises:
        PromptError: a role is unknown or a content no text, or there is nothing to answer,
            since the last one is the assistant's; names the faulty one by its position, from 1.
    """
    for position, (role, content, *_) in enumerate(messages, 1):
        if role not in roles:
            raise PromptError(
                f"Message {position} has the unknown role {_describe_role(role)}; "
                "there are system, user and assistant."
            )
        if not isinstance(content, str):
            raise PromptError(f"Message {position} has a content that is not text.")
    if not messages:
        raise PromptError("There is no user message to answer.")
    if messages[-1].role == "assistant":
        raise PromptError(f"Message {len(messages)}, the last one, must come from the user.")
    system = messages[0].content if messages[0].role == "system" else None
    return system, list(messages[system is not None :])


def _describe_role(role: Any) -> str:
    return repr(role) if isinstance(role, str) and len(role) <= 20 else f"({type(role).__name__})"


def defuse(text: str, marks: Sequence[str]) -> str:
    """Break each of `marks` in `text` with an invisible U+2060 WORD JOINER.

    For marks that are ordinary text to a tokenizer, such as `[/INST]`: the
    reader sees the same letters, the model no longer sees the mark. Letters
    that a tokenizer may read as those of a mark count as the same (see `fold`).
    """
    marks = tuple(map(fold, marks))
    folded = fold(text)
    if not any(mark in folded for mark in marks):
        return text
    longest = max(map(len, marks))
    broken = []
    for index, letter in enumerate(text):
        broken.append(letter)
        ahead = fold(text[index : index + longest])
        # A mark may begin within a letter that is several (㎄).
        if any(ahead.startswith(marks, place) for place in range(len(fold(letter)) or 1)):
            broken.append(WORD_JOINER)
    return "".join(broken)


def fold(text: str) -> str:
    """Return `text` with letters alike made the same.

    Full-width letters, ligatures and accents are taken apart as NFKD does, which
    some tokenizers do in part; and U+2581 is SentencePiece's own sign for a space.
    """
    return text if text.isascii() else unicodedata.normalize("NFKD", text).replace("\u2581", " ")


#: Shows how a chat template treats white space, and reasoning in past replies.
PROBE = (
    Message("system", " a "),
    Message("user", " b "),
    Message("assistant", " <think>c</think> d "),
    Message("user", " e "),
)


def rendered(tokenizer: Any) -> str:
    """Return what the tokenizer's chat template makes of `PROBE`, or "" if it fails.

    Raises:
        PromptError: it takes too much time or memory.
    """
    from prompts import renderer, templates  # which need what is here

    messages = [message.entry for message in PROBE]
    given = {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": True}
    try:
        template = renderer.renderer(templates.default(tokenizer))
        return template.render({**tokenizer.special_tokens_map, **given})
    except renderer.TooMuch:
        raise
    except Exception:  # of a template that anyone may have written
        return ""


def thoughts_of(tokenizer: Any) -> Marks | None:
    """Return how the model writes its thoughts, or None if it has none."""
    tokens = [token.content for token in tokenizer.added_tokens_decoder.values()]
    return recognised("\n".join([str(tokenizer.chat_template or ""), *tokens]))


def shown_of(marks: Marks, controls: re.Pattern[str]) -> tuple[str, ...]:
    """Return the control tokens in marks of thoughts, and in what stands around a reply."""
    return tuple(dict.fromkeys(controls.findall("".join([*marks[:4], *marks.around]))))


def control_tokens(tokenizer: Any) -> list[str]:
    """Return the tokens that nothing a person writes may produce, longest first.

    All special tokens, and of the other added tokens those that look like one
    (`<|user|>`, with full-width bars too), those that the chat template writes and those
    that mark thoughts; blank ones are text.
    """
    marks = thoughts_of(tokenizer)
    written = f"{tokenizer.chat_template or ''}\n{rendered(tokenizer)}\n"
    written += marks.begin + marks.end if marks else ""
    tokens = {
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special
        or re.fullmatch("<[|\uff5c].+[|\uff5c]>", token.content)
        or (token.content in written and token.content.strip())
    }
    return sorted(tokens, key=len, reverse=True)


def any_of(tokens: Sequence[str]) -> re.Pattern[str]:
    """Return a pattern for `tokens`, longest first, as a tokenizer finds them."""
    return re.compile("|".join(map(re.escape, tokens)) or "(?!)")
