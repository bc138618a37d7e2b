"""A chat template that tells its model of tools, and reads the calls that it makes.

Source: transformers' `apply_chat_template(messages, tools=...)`; a tokenizer may bring a
template of its own for that, called tool_use, and a `response_template` by which transformers
reads a reply. A call that has to be made begins in the prompt: its mark is written there as
the template writes it, so that what follows is JSON of one schema.
"""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from copy import copy
from functools import partial
from itertools import chain
from typing import Any, Self

from prompts import templates
from prompts.base import Call, Control, Message, Piece, PromptError, Read
from prompts.calls import PROBE, VALUE, Tool, recognised
from prompts.formats.template import Template, tainted
from prompts.marks import Marks
from prompts.reading import Reader, by_parser

UNKNOWN = "This model's chat template knows no tools."
#: What templates put around calls and results, where that is no control token.
MARK = re.compile(r"[\[<]/?\w+[\]>]")
#: Words of a schema that hold values, in which nothing refers.
VALUES = ("const", "enum", "default", "examples")
STAND_IN = Tool("zztool", "zzdescription", {"type": "object", "properties": {}})
EXCHANGE = [
    Message("user", "zz"),
    Message("assistant", "", (PROBE,)),
    Message("tool", "zz", name=PROBE.name, call_id=PROBE.id),
]
BROKEN = [EXCHANGE[0], Message("assistant", "", (PROBE._replace(arguments="zz"),)), EXCHANGE[2]]
TWICE = [EXCHANGE[0], Message("assistant", "", (PROBE, PROBE)), EXCHANGE[2], EXCHANGE[2]]


class Tooled(Template):
    """A chat template that knows tools.

    Raises:
        PromptError: it knows none, or its model's calls cannot be read.
    """

    #: Whether the reply is the name of the tool to call.
    naming = False
    #: Whether the template writes several calls in one message, and arguments that are no object.
    _several = _any_arguments = True
    #: How thoughts are marked that a call which has to be made does without.
    _ahead: Marks | None = None

    def __init__(self, tokenizer: Any) -> None:
        super().__init__(tokenizer, templates.for_tools(tokenizer))
        self._offered: tuple[Tool, ...] = ()
        self._parallel = True
        #: What of a reply is in the prompt already.
        self._begun = ""
        with self._template.tried():
            self._look_at_calls(tokenizer)

    def _look_at_calls(self, tokenizer: Any) -> None:
        """See how the template writes calls."""
        offering = self.offering([STAND_IN])
        asking = offering._exchange(EXCHANGE[:1]) or ""
        if self.thoughts and self.thoughts.left_open(asking):
            asking += self.thoughts.closing  # what was thought is taken away before it is read
        self._dialect = recognised(lambda messages: offering._apply(messages).bare)
        if self._dialect and self.thoughts:
            # Some write an empty thought before a call.
            before = self._dialect.before.rpartition(self.thoughts.end)[2]
            self._dialect = self._dialect._replace(before=before)
        self._parser = None
        if getattr(tokenizer, "response_template", None):
            self._parser = partial(tokenizer.get_response_parser, prefix=asking)
        if STAND_IN.name not in asking or not (self._dialect or self._parser):
            raise PromptError(UNKNOWN)
        # Some write the first call only, and say nothing of the others.
        self._several = (offering._exchange(TWICE) or "").count(VALUE) > 1
        self._any_arguments = offering._exchange(BROKEN) is not None
        self.shown = tuple(dict.fromkeys([*self.shown, *self._shown()]))
        exchange = (offering._exchange(EXCHANGE) or "").replace("zz", "\n")
        exchange = self._controls.sub("\n", exchange)
        self.marks = tuple(dict.fromkeys([*self.marks, *MARK.findall(exchange)]))

    def offering(self, tools: Sequence[Tool], *, parallel: bool = True) -> Self:
        """Return the format that offers these tools.

        One call is read unless `parallel`, or if the template could not write several again.
        """
        other = copy(self)
        other._offered, other._parallel = tuple(tools), parallel and self._several
        other.tools = list(map(_described, tools)) or None
        return other

    def calling(self, names: Sequence[str]) -> tuple[Self, dict[str, Any]]:
        """Return the format whose prompt begins a call of one of these tools, without a thought.

        And what `Sampling` ties the rest to: a `json_schema`, or `choices` of a name, with
        which this is to be asked again.

        Raises:
            PromptError: the model's calls are not JSON.
        """
        dialect = self._dialect
        if not dialect:
            raise PromptError(
                "This model's calls cannot be held to a schema; leave it to the model whether it "
                "calls a tool."
            )
        other = copy(self)
        other._begun = dialect.before
        other._ahead, other.thoughts = self.thoughts or self._ahead, None
        tools = [tool for tool in self._offered if tool.name in names]
        if dialect.keys:
            return other, {"json_schema": json.dumps(_any_of(tools, dialect.keys))}
        other.naming = len(tools) > 1
        if other.naming:
            return other, {"choices": [tool.name for tool in tools]}
        other._begun += tools[0].name + dialect.between
        return other, {"json_schema": json.dumps(arguments_of(tools[0]))}

    def pieces(self, messages: Sequence[Message]) -> list[Piece]:
        """See `PromptFormat.pieces`."""
        prompt = super().pieces(messages)
        if not self._begun:
            return prompt
        end = prompt[-1].text if isinstance(prompt[-1], Control) else ""
        closing, marks = "", self._ahead
        if marks and marks.left_open(end):
            # A call begins with its own mark, and not with that of what is said after a thought.
            ended = marks.closing.partition(marks.end)[0] + marks.end
            closing = ended if marks.around else marks.closing
        return [*prompt, Control(closing + self._begun)]

    def read(self, reply: str, *, finished: bool) -> Read:
        """See `PromptFormat.read`."""
        if self.naming or not self._offered:
            return Read(reply)
        if self._parser and not self._begun:
            return by_parser(reply, self._parser, finished=finished)
        assert self._dialect
        names = [tool.name for tool in self._offered]
        reader = Reader(self._dialect, names, parallel=self._parallel)
        read = reader.read(self._begun + reply, finished=finished)
        # A call that is cut before it has a name is not what the assistant says.
        return read._replace(content="") if self._begun and not read.calls else read

    def _orders(self, messages: Sequence[Message]) -> Iterator[list[Message]]:
        """Yield the orders to try, with calls as the template can carry them."""
        if not self._any_arguments:
            messages = [one._replace(calls=tuple(map(_with_object, one.calls))) for one in messages]
        if not self._several:
            messages = list(_one_by_one(messages))
        yield from super()._orders(messages)
        # Some, as gpt-oss', take either what was thought before a call or what was said.
        if (together := list(map(_with_one_text, messages))) != list(messages):
            yield from super()._orders(together)

    def _shown(self) -> tuple[str, ...]:
        """Return the control tokens in calls; transformers' parser knows which it needs."""
        if self._parser:
            return self._control_tokens
        dialect = self._dialect
        parts = (dialect.before, dialect.between, dialect.after, dialect.again) if dialect else ()
        written = "".join(parts)
        return tuple(dict.fromkeys(self._controls.findall(written)))

    def _exchange(self, messages: Sequence[Message]) -> str | None:
        """Return what the template writes where tools are called, or None if it refuses that."""
        try:
            return self._apply(messages).bare
        except Exception:  # of a template that anyone may have written
            return None


def _with_object(call: Call) -> Call:
    """Return a call whose arguments are an object: what is none, as after a cut, is in one."""
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = call.arguments
    if isinstance(value, dict):
        return call
    return call._replace(arguments=json.dumps({} if value is None else {"arguments": value}))


def _with_one_text(message: Message) -> Message:
    """Return a message that calls with what it says at the end of what was thought."""
    if not (message.calls and message.thought and message.content):
        return message
    return message._replace(content="", thought=f"{message.thought}\n\n{message.content}")


def _one_by_one(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield messages of one call at most, each with its result after it."""
    left = deque(messages)
    while left:
        message = left.popleft()
        if len(message.calls) < 2:
            yield message
            continue
        results: defaultdict[str, deque[Message]] = defaultdict(deque)
        while left and left[0].role == "tool":
            result = left.popleft()
            results[result.call_id].append(result)
        for place, call in enumerate(message.calls):
            first = not place
            yield message._replace(
                content=message.content * first, thought=message.thought * first, calls=(call,)
            )
            if found := results[call.id]:
                yield found.popleft()
        yield from chain(*results.values())


def arguments_of(tool: Tool) -> dict[str, Any]:
    """Return the schema of a tool's arguments, which are an object whatever it says."""
    return {"type": "object", "properties": {}} | {**tool.parameters} | {"type": "object"}


def _described(tool: Tool) -> dict[str, Any]:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": arguments_of(tool),
    }
    # The names in it are the template's own, and the rest is whoever's who asks.
    return {"type": "function", "function": {key: tainted(one) for key, one in function.items()}}


def _any_of(tools: Sequence[Tool], keys: tuple[str, str]) -> dict[str, Any]:
    """Return the schema of a call of one of the tools."""
    name, arguments = keys
    calls = [
        {
            "type": "object",
            "properties": {
                name: {"const": tool.name},
                arguments: {"$ref": f"#/$defs/tool{place}"},
            },
            "required": [name, arguments],
            "additionalProperties": False,
        }
        for place, tool in enumerate(tools)
    ]
    schemas = {
        f"tool{place}": _moved(arguments_of(tool), f"#/$defs/tool{place}")
        for place, tool in enumerate(tools)
    }
    return {**(calls[0] if len(calls) == 1 else {"anyOf": calls}), "$defs": schemas}


def _moved(schema: Any, root: str) -> Any:
    """Return a schema whose references to its root lead to `root`."""
    match schema:
        case list():
            return [_moved(one, root) for one in schema]
        case dict():
            return {key: _moved_word(key, one, root) for key, one in schema.items()}
        case _:
            return schema


def _moved_word(word: str, said: Any, root: str) -> Any:
    if word in VALUES and not isinstance(said, dict):
        return said
    refers = word == "$ref" and isinstance(said, str) and said.startswith("#")
    return root + said[1:] if refers else _moved(said, root)
