"""How a family of models writes its calls of tools.

There are few ways, and in each a call is a name and a JSON object of arguments:

    <tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>    Hermes, Qwen
    {"name": "add", "parameters": {"a": 1}}                          Llama 3.1 and later
    [TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]            Mistral
    [TOOL_CALLS]add[ARGS]{"a": 1}                                    Mistral's later models
    <|channel|>commentary to=functions.add json<|message|>{"a": 1}   gpt-oss

Which one it is shows what the model's chat template makes of calls of stand-ins.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import whitespace
from typing import Any, NamedTuple

from prompts.base import Call, Message

NAME, SAID, KEY, VALUE = "zzname", "Zzsaid", "zzkey", "zzvalue"
PROBE = Call(NAME, json.dumps({KEY: VALUE}), "zzprobe01")
#: Nothing of it is as in the first, at its beginning or its end.
SECOND = Call("otherone", json.dumps({KEY: "otherword"}), "otherid99")


class Tool(NamedTuple):
    """A function that a model may call."""

    name: str
    description: str
    #: A JSON schema of its arguments, which are an object.
    parameters: Mapping[str, Any]


#: A mark of which a part is missing, and that part.
CUT = re.compile(r"<[^<>\s]*\Z")
REST = re.compile(r"[^<>\s]*>")
#: What stands between two calls and says nothing.
PAUSE = ",;" + whitespace
#: What a text after a call is made of, each of which the model may leave out.
ENDING = re.compile(r"<[^<>]*>|\[/?\w+\]|[<\[]?[^<\[\]]+")
#: What may stand ahead of the name in Harmony: templates write the channel of an earlier call
#: after its name, and models that of theirs before it.
HARMONY = tuple(
    start + channel
    for start in ("<|start|>assistant", "")
    for channel in ("<|channel|>commentary ", "<|channel|>analysis ", " ", "")
)


class Dialect(NamedTuple):
    """How calls are written."""

    #: What stands before the first call: before its object, or before a name that stands alone.
    before: str
    #: What stands after the last one.
    after: str
    #: The keys of its object, for the name and the arguments, or None if the name stands alone.
    keys: tuple[str, str] | None
    #: What stands between a name that stands alone and the arguments.
    between: str = ""
    #: What begins a later call, right after the end of another, if `mark` does not.
    again: str = ""
    #: What stands between the name and the arguments of a second call, if that is another text:
    #: calls may be counted, or have ids.
    second: str = ""

    @property
    def mark(self) -> str:
        """The text at which a call is known, or "" if it is known by its object alone."""
        return self.before.strip().rstrip("[").rstrip() if self.keys else self.before.strip()

    @property
    def marks(self) -> tuple[str, ...]:
        """That text, and it with what may stand ahead of it."""
        if self._harmony:
            return tuple(ahead + self.mark for ahead in HARMONY)
        return (self.mark,) if self.mark else ()

    @property
    def name_end(self) -> str:
        """The text that ends a name that stands alone."""
        head, tail = self._fixed
        return tail if self._harmony or self._counted else head

    @property
    def name_rest(self) -> re.Pattern[str]:
        """What of a text up to `name_end` is no part of the name."""
        if self._harmony:
            # Of this message: another one may follow what only names a tool.
            return re.compile(r"[\s<](?:(?!to=|<\|end\|>|<\|start\|>)[^\n{}]){0,100}\Z")
        return re.compile(re.escape(self._fixed[0]) + r"\w*\Z" if self._counted else r"(?!)")

    @property
    def ends(self) -> tuple[str, ...]:
        """The texts that end a call, and all calls, each of which may be missing."""
        return tuple(filter(None, map(str.strip, ENDING.findall(self.after))))

    @property
    def _harmony(self) -> bool:
        """Whether it is OpenAI's, where calls are messages to whom they call."""
        return self.mark.startswith("to=") and self.between.endswith("<|message|>")

    @property
    def _fixed(self) -> tuple[str, str]:
        """What the text between a name and the arguments always begins and ends with."""
        if self._harmony:
            return "", "<|message|>"
        if not self.second:
            head, _, tail = self.between.partition(PROBE.id)
            return head.strip(), tail.strip()
        start = _alike(self.between, self.second)
        one, other = self.between[start:][::-1], self.second[start:][::-1]
        return self.between[:start].strip(), one[: _alike(one, other)][::-1].strip()

    @property
    def _counted(self) -> bool:
        """Whether what follows a name may be in one, and ends it only with what comes after."""
        head, tail = self._fixed
        return bool(self.second and tail and re.fullmatch(r"[.:/-]+", head))


def recognised(render: Callable[[Sequence[Message]], str]) -> Dialect | None:
    """Return how the chat template behind `render` writes calls; None if in no way known here."""
    asked = Message("user", SAID)
    try:
        called = render([asked, Message("assistant", "", (PROBE,))])
        spoken = render([asked, Message("assistant", SAID)])
    except Exception:  # of a template that anyone may have written
        return None
    start = len(CUT.sub("", called[: _alike(called, spoken)]))
    called, spoken = called[start:], spoken[start:]
    end = len(called) - _alike(called[::-1], spoken[::-1])
    written = called[:end] + (REST.match(called, end) or [""])[0] * bool(CUT.search(called[:end]))
    if not (dialect := _written(written)):
        return None
    try:
        several = render([asked, Message("assistant", "", (PROBE, SECOND))])
    except Exception:  # of one that takes no more than one
        return dialect
    return _with_second(dialect, several[start:])


def _written(call: str) -> Dialect | None:
    """Return how a call is written."""
    found = list(_objects(call))
    for value, first, last in reversed(found):
        if NAME in value.values() and {KEY: VALUE} in value.values():
            names = {str(inner): key for key, inner in value.items()}
            keys = names[NAME], names[str({KEY: VALUE})]
            return Dialect(call[:first], call[last:], keys)
    for value, first, last in found:
        before, name, between = call[:first].partition(NAME)
        marked = re.search(r"\w", before) and between.partition(PROBE.id)[0].strip()
        if value == {KEY: VALUE} and name and marked and PROBE.id not in before:
            return Dialect(before, call[last:], None, between)
    return None


def _with_second(dialect: Dialect, calls: str) -> Dialect:
    """Return the dialect with what is otherwise in the second of two calls."""
    key, words = KEY, (VALUE, json.loads(SECOND.arguments)[KEY])
    if dialect.keys:
        key, words = dialect.keys[0], (NAME, SECOND.name)
    found = [[one for one in _objects(calls) if one[0].get(key) == word] for word in words]
    if not all(found):
        return dialect
    between, second = calls[found[0][0][2] : found[1][0][1]], ""
    if not dialect.keys:
        between, _, second = between.partition(SECOND.name)
    between = between.lstrip(PAUSE + "]")
    for end in dialect.ends:
        between = between.removeprefix(end).lstrip(PAUSE)
    again = dialect._replace(before=between).mark
    return dialect._replace(
        again="" if again.endswith(dialect.mark) else again,
        second="" if second == dialect.between else second,
    )


def _alike(one: str, other: str) -> int:
    """Return how many letters two texts share at their beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def _objects(text: str) -> Iterator[tuple[dict[str, Any], int, int]]:
    """Yield the objects in a text, those in others too, with where they begin and end."""
    for brace in re.finditer(r"\{", text):
        try:
            found, end = json.JSONDecoder().raw_decode(text, brace.start())
        except (ValueError, RecursionError):
            continue
        yield found, brace.start(), end
