"""How a family of models writes its calls of tools.

There are few ways, and in each a call is a name and a JSON object of arguments:

    <tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call>    Hermes, Qwen
    {"name": "add", "parameters": {"a": 1}}                          Llama 3.1 and later
    [TOOL_CALLS] [{"name": "add", "arguments": {"a": 1}}]            Mistral
    [TOOL_CALLS]add[ARGS]{"a": 1}                                    Mistral's later models

Which one it is shows what the model's chat template makes of a call of stand-ins.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prompts.base import Call, Message

NAME, SAID, KEY, VALUE = "zzname", "Zzsaid", "zzkey", "zzvalue"
PROBE = Call(NAME, json.dumps({KEY: VALUE}), "zzprobe01")


class Tool(NamedTuple):
    """A function that a model may call."""

    name: str
    description: str
    #: A JSON schema of its arguments, which are an object.
    parameters: Mapping[str, Any]


#: A mark of which a part is missing, and that part.
CUT = re.compile(r"<[^<>\s]*\Z")
REST = re.compile(r"[^<>\s]*>")


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

    @property
    def mark(self) -> str:
        """The text at which a call is known, or "" if it is known by its object alone."""
        return self.before.strip().rstrip("[").rstrip() if self.keys else self.before.strip()

    @property
    def name_end(self) -> str:
        """The text that ends a name that stands alone; after it there may be an id."""
        return self.between.partition(PROBE.id)[0].strip()

    @property
    def end(self) -> str:
        """The text that ends a call, or ""."""
        return self.after.strip().lstrip("]").strip()


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
    found = list(_objects(written))
    for value, first, last in reversed(found):
        if NAME in value.values() and {KEY: VALUE} in value.values():
            names = {str(inner): key for key, inner in value.items()}
            keys = names[NAME], names[str({KEY: VALUE})]
            return Dialect(written[:first], written[last:], keys)
    for value, first, last in found:
        before, name, between = written[:first].partition(NAME)
        marked = re.search(r"\w", before) and between.strip()
        if value == {KEY: VALUE} and name and marked and PROBE.id not in before:
            return Dialect(before, written[last:], None, between)
    return None


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
