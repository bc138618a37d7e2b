"""Reading calls of tools in a reply, while it is written.

Each part of the arguments is given as soon as it is there, so what is read is the text of
the JSON and not its value; what is wrong in it is for whoever answers the call.
"""

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from string import whitespace
from typing import Any, NamedTuple

from prompts.base import Call, Read
from prompts.calls import Dialect
from prompts.letters import held_back

#: What JSON is made of, the last of it perhaps in part.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[{}\[\],:]|[^"{}\[\],:]+', re.DOTALL)
NAME = re.compile(r"[\w.:/-]{0,200}")
#: What a parser of replies raises of what is no call in the end.
FAULTS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
DECODER = json.JSONDecoder(strict=False)
#: Keys by which models call the arguments, whatever their templates do.
ARGUMENTS = ("arguments", "parameters")


class Reader:
    """Reads replies in a dialect; `names` are those of the tools that there are.

    Unless calls may be `parallel`, nothing after the first one counts.
    """

    def __init__(self, dialect: Dialect, names: Collection[str], *, parallel: bool) -> None:
        self._dialect = dialect
        self._marks = dialect.marks
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
                held = max((held_back(said, mark) for mark in self._marks), default=0)
                if after_call and self._may_begin(reply[at:]):
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
        again, keys = self._dialect.again, self._dialect.keys
        if after_call and again and reply.startswith(again, at):
            return at, at + len(again)
        if keys and (after_call or not self._marks):
            here = _skip(r"[\s\[]*", reply, at)
            if reply[here : here + 1] == "{" and (after_call or not reply[:here].strip()):
                # What is around the object may begin with a brace too.
                mark = self._dialect.mark
                return at, here + len(mark) * reply.startswith(mark, here)
        found = [(start, mark) for mark in self._marks if (start := reply.find(mark, at)) >= 0]
        start, mark = min(found, default=(len(reply), ""))
        return start, start + len(mark)

    def _may_begin(self, rest: str) -> bool:
        """Whether another call may begin so, right after one."""
        blank = bool(self._dialect.keys) and not rest.strip("[" + whitespace)
        return blank or self._dialect.again.startswith(rest)

    def _call(self, reply: str, at: int) -> tuple[Call | None, int | None]:
        """Return the call that begins there, and where it ends.

        There is none (yet) if the first is None, and the second then is where what is no call
        ends; it is None while that cannot be known.
        """
        if self._dialect.keys is None:
            mark = self._dialect.name_end
            written, between, _ = reply[at:].partition(mark)
            written = written if between else written[: len(written) - held_back(written, mark)]
            name = self._dialect.name_rest.sub("", written).strip()
            if not NAME.fullmatch(name) or (between and not name):
                return None, at
            body = reply.find("{", at + len(written) + len(between)) if between else -1
            if body < 0:
                return None, None
            found = _object(reply, body)
            return Call(name, found.text.rstrip()), found.end
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
        at = _skip(r"[\s,;\]]*", reply, end)
        # As calls end that are in a list.
        pause = r"[\s,;\]]*" if "]" in self._dialect.after else r"[\s,;]*"
        ends = self._dialect.ends
        for place, mark in enumerate(ends):
            if reply.startswith(mark, at):
                at = _skip(pause, reply, at + len(mark))
            elif not finished and any(one.startswith(reply[at:]) for one in ends[place:]):
                return len(reply)
        return at


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
        elif depth == 1 and begun < 0 and sign.strip(whitespace + "{}[],:"):
            key = sign.strip()  # without quotes, as models write it now and then
        elif depth == 1 and begun < 0 and sign == ":":
            begun = token.end()
        elif begun >= 0 and (depth == 0 or (depth == 1 and sign == ",")):
            # Of a key that comes again, what was read first has been given already.
            found.members.setdefault(key, text[begun : token.start()].strip())
            key, begun = "", -1
        if depth == 0:
            found.end = token.end()
            break
    if begun >= 0:
        found.members.setdefault(key, text[begun:].strip())
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


class _Parsed(NamedTuple):
    """What a parser reads in a reply."""

    said: str = ""
    calls: tuple[Call, ...] = ()
    #: What is said before the last of them, and all that is written after it.
    before: str = ""
    after: str = ""


def by_parser(reply: str, parser: Callable[[], Any], *, finished: bool) -> Read:
    """Return what transformers' parser of a tokenizer's `response_template` reads in a reply.

    A call comes as a whole, once it is. Where something is no call in the end, what was read
    before it stays, and the rest is said as it is.
    """
    read = _parsed(reply, parser, finished=finished)
    if not read:
        size = _most(len(reply), lambda end: _parsed(reply[:end], parser) is not None)
        read = _parsed(reply[:size], parser) or _Parsed()
        if finished:
            read = read._replace(said=_as_written(reply, read, parser))
    return Read(read.said.strip(), read.calls)


def _as_written(reply: str, read: _Parsed, parser: Callable[[], Any]) -> str:
    """Return what a reply says if all that is after its last call is no call."""
    if not read.calls:
        return reply

    def lacks_calls(end: int) -> bool:
        found = _parsed(reply[:end], parser)
        return found is not None and len(found.calls) < len(read.calls)

    # The parser may see a letter or two of what follows before it knows of the call.
    end = _most(len(reply), lacks_calls) + 1
    known = _parsed(reply[:end], parser, finished=True) or _parsed(reply[:end], parser) or read
    return known.before + reply[end - len(known.after) :]


def _most(size: int, holds: Callable[[int], bool]) -> int:
    """Return the greatest number up to `size` for which that holds, as it does for all below."""
    return bisect_left(range(1, size + 1), True, key=lambda number: not holds(number))


def _parsed(reply: str, parser: Callable[[], Any], *, finished: bool = False) -> _Parsed | None:
    """Return what the parser reads, or None if something in it is no call."""
    said, calls, before, after = "", list[Call](), "", ""
    try:
        stream = parser()
        events = [*stream.initial_events, *stream.feed(reply)]
        events += stream.finalize()[1] if finished else []
        for event in events:
            match event:
                case {"type": "region_chunk", "field": field, "text": text}:
                    said += text if field == "content" else ""
                    after += text
                case {"type": "region_close", "field": "tool_calls", "value": value}:
                    calls += map(_called, value if isinstance(value, list) else [value])
                    before, after = said, ""
    except FAULTS:
        return None
    return _Parsed(said, tuple(calls), before, after)


def _called(value: Any) -> Call:
    function = value.get("function", value)
    name, arguments = function["name"], function.get("arguments", {})
    if not (name and isinstance(name, str)):
        raise TypeError(f"no name: {name}")
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Call(name, written)
