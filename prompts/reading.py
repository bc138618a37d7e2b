"""Reading calls of tools in a reply, while it is written.

Each part of the arguments is given as soon as it is there, so what is read is the text of
the JSON and not its value; what is wrong in it is for whoever answers the call.
"""

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from string import whitespace
from typing import Any

from prompts.base import Call, Read
from prompts.calls import Dialect
from prompts.letters import held_back

#: What JSON is made of, the last of it perhaps in part.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^"{}\[\],:]+', re.DOTALL)
NAME = re.compile(r"[\w.:/-]{0,200}")
DECODER = json.JSONDecoder(strict=False)
#: Keys by which models call the arguments, whatever their templates do.
ARGUMENTS = ("arguments", "parameters")


class Reader:
    """Reads replies in a dialect; `names` are those of the tools that there are.

    Unless calls may be `parallel`, nothing after the first one counts.
    """

    def __init__(self, dialect: Dialect, names: Collection[str], *, parallel: bool) -> None:
        self._dialect = dialect
        self._names = names
        self._parallel = parallel

    def read(self, reply: str, *, finished: bool) -> Read:
        """Return what a reply, or the part of it that is there, says and calls.

        What may become a call is held back, and said if it becomes none.
        """
        said, calls, at, after_call = "", list[Call](), 0, False
        while at < len(reply):
            start, body = self._begin(reply, at, after_call=after_call)
            said += reply[at:start]
            if start == len(reply):
                held = held_back(said, self._dialect.mark)
                if after_call and self._dialect.keys and not reply[at:].strip("[" + whitespace):
                    held = len(reply) - at  # the next call may begin so
                said = said[: len(said) - (0 if finished else held)]
                break
            call, end = self._call(reply, body)
            if after_call := call is not None:
                calls.append(call)
                if end and not self._parallel:
                    return Read(said.rstrip(), tuple(calls), done=True)
                at = len(reply) if end is None else self._past(reply, end, finished=finished)
            elif end is None:
                said += reply[start:] if finished else ""
                break
            else:
                said += reply[start:end]
                at = end
        return Read(said.rstrip(), tuple(calls))

    def _begin(self, reply: str, at: int, *, after_call: bool) -> tuple[int, int]:
        """Return where the next call begins, with its mark and without."""
        mark, keys = self._dialect.mark, self._dialect.keys
        if keys and (after_call or not mark):
            here = _skip(r"[\s\[]*", reply, at)
            if reply[here : here + 1] == "{" and (after_call or not reply[:here].strip()):
                return at, here
        if not mark or (start := reply.find(mark, at)) < 0:
            return len(reply), len(reply)
        return start, start + len(mark)

    def _call(self, reply: str, at: int) -> tuple[Call | None, int | None]:
        """Return the call that begins there, and where it ends.

        There is none (yet) if the first is None, and the second then is where what is no call
        ends; it is None while that cannot be known.
        """
        if self._dialect.keys is None:
            mark = self._dialect.name_end
            name, between, _ = reply[at:].partition(mark)
            name = name if between else name[: len(name) - held_back(name, mark)]
            if not NAME.fullmatch(name.strip()):
                return None, at
            body = reply.find("{", at + len(name) + len(between)) if between else -1
            if body < 0:
                return None, None
            found = _object(reply, body)
            return Call(name.strip(), found.text.rstrip()), found.end
        body = _skip(r"[\s\[]*", reply, at)
        if body == len(reply):
            return None, None
        if reply[body] != "{":
            return None, body
        return self._keyed(_object(reply, body))

    def _keyed(self, found: "_Object") -> tuple[Call | None, int | None]:
        assert self._dialect.keys
        name_key, key = self._dialect.keys
        name = _string(found.members.get(name_key, ""))
        known = name if self._dialect.mark else name in self._names and name
        if not known:
            settled = found.end is not None or (name is not None and not self._dialect.mark)
            return None, found.start + len(found.text) if settled else None
        given = (found.members[one] for one in (key, *ARGUMENTS) if one in found.members)
        arguments = next(given, "")
        if arguments[:1] not in ("{", ""):
            whole = found.end is not None
            arguments = (_string(arguments) or "{}") if whole else ""
        elif not arguments and found.end is not None:
            arguments = "{}"
        return Call(known, arguments), found.end

    def _past(self, reply: str, end: int, *, finished: bool) -> int:
        """Return where the text after a call begins."""
        mark = self._dialect.end
        at = _skip(r"[\s,;\]]*", reply, end)
        if not mark:
            return at
        if reply.startswith(mark, at):
            return _skip(r"[\s,;]*", reply, at + len(mark))
        return len(reply) if not finished and mark.startswith(reply[at:]) else at


@dataclass
class _Object:
    """An object in JSON, of which the end may be missing."""

    start: int
    text: str = ""
    #: Where it ends, if it does.
    end: int | None = None
    #: Values by their keys, as they are written; of the last one there may be a part.
    members: dict[str, str] = field(default_factory=dict)


def _object(text: str, start: int) -> _Object:
    """Return the object that begins with the brace at `start`."""
    found = _Object(start)
    depth, key, begun = 0, "", -1
    for token in TOKEN.finditer(text, start):
        sign = token[0]
        depth += (sign in "{[") - (sign in "}]")
        if depth == 1 and begun < 0 and sign[0] == '"':
            key = _string(sign) or ""
        elif depth == 1 and begun < 0 and sign == ":":
            begun = token.end()
        elif begun >= 0 and (depth == 0 or (depth == 1 and sign == ",")):
            found.members[key] = text[begun : token.start()].strip()
            begun = -1
        if depth == 0:
            found.end = token.end()
            break
    if begun >= 0:
        found.members[key] = text[begun:].strip()
    found.text = text[start : found.end]
    return found


def _string(written: str) -> str | None:
    """Return the text that begins there in JSON, or None if it is not there as a whole."""
    try:
        value, _ = DECODER.raw_decode(written)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, str) else None


def _skip(pattern: str, text: str, at: int) -> int:
    found = re.compile(pattern).match(text, at)
    return found.end() if found else at


def by_parser(reply: str, parser: Callable[[], Any], *, finished: bool) -> Read:
    """Return what transformers' parser of a tokenizer's `response_template` reads in a reply.

    A call comes as a whole, once it is.
    """
    said, calls = "", list[Call]()
    try:
        stream = parser()
        events = [*stream.initial_events, *stream.feed(reply)]
        events += stream.finalize()[1] if finished else []
        for event in events:
            match event:
                case {"type": "region_chunk", "field": "content", "text": text}:
                    said += text
                case {"type": "region_close", "field": "tool_calls", "value": value}:
                    calls += map(_parsed, value if isinstance(value, list) else [value])
    except (ValueError, KeyError, TypeError, AttributeError):  # of what was no call in the end
        return Read(reply if finished else "")
    return Read(said.strip(), tuple(calls))


def _parsed(value: Any) -> Call:
    function = value.get("function", value)
    arguments = function.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Call(function["name"], written)
