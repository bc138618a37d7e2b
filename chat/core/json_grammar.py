"""A JSON schema written out as EBNF, for xgrammar.

Its own compiler of schemas reads an `ö` before a `b` as another letter, and lets white
space go on for ever. Here each letter beyond ASCII is a literal of its own, and
between two tokens there is at most one space. What it has no form for is refused.
"""

import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from math import ceil, floor
from typing import Any

from chat.core.constraints import longest

Path = tuple[str | int, ...]

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
#: The longest grammar, in characters, and the most that the squares of its patterns' lengths
#: (with their repetitions written out) may come to: where much can be left out, compiling
#: takes as long as the square.
MOST_CHARACTERS, MOST_SQUARED = 60_000, 20_000
#: How often something may come in one piece: more takes xgrammar seconds a token.
BLOCK = 32
DAY = r"(0[1-9]|[12][0-9]|3[01])"
DATE = rf"[0-9]{{4,4}}-(0[1-9]|1[0-2])-{DAY}"
TIME = (
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6}){0,1}"
    r"(Z|[+\-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2,2}|[1-9]{0,1}[0-9])"
LABEL = r"[a-zA-Z0-9]{1,}(-[a-zA-Z0-9]{1,}){0,}"
HOST = rf"{LABEL}(\.{LABEL}){{0,}}"
#: By name, what is written for it, as plain patterns (see `constraints.plain`).
FORMATS = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": r"P([0-9]{1,4}D(T[0-9]{1,4}H){0,1}|T[0-9]{1,4}(H|M|S)|[0-9]{1,4}W)",
    "email": rf"[a-zA-Z0-9_+\-]{{1,}}(\.[a-zA-Z0-9_+\-]{{1,}}){{0,}}@{HOST}",
    "hostname": HOST,
    "ipv4": rf"{BYTE}(\.{BYTE}){{3,3}}",
    "ipv6": r"([0-9a-f]{1,4}:){7,7}[0-9a-f]{1,4}",
    "uuid": r"[0-9a-f]{8,8}(-[0-9a-f]{4,4}){3,3}-[0-9a-f]{12,12}",
    "uri": rf"https{{0,1}}://{HOST}(/[a-zA-Z0-9._~\-]{{0,}}){{0,}}",
}
#: The rules that others are made of.
COMMON = r"""
space ::= " "?
hex ::= [0-9a-fA-F]
char ::= [ !#-\[\]-~] | [\u0080-\ud7ff] | [\ue000-\U0010ffff] | "\\" escape
escape ::= ["\\/bfnrt] | "u" [0-9a-cA-C] hex hex hex
string ::= "\"" char* "\""
whole ::= "0" | [1-9] [0-9]{0,17}
fraction ::= "." [0-9]{1,17}
exponent ::= [eE] [+\-]? [0-9]{1,2}
null ::= "null"
boolean ::= "true" | "false"
integer ::= "-"? whole
number ::= "-"? whole fraction? exponent?
array ::= "[" space (any (space "," space any)* space)? "]"
member ::= string space ":" space any
object ::= "{" space (member (space "," space member)* space)? "}"
any ::= null | boolean | number | string | array | object
"""
PART = re.compile(r"\[(?:\\.|[^\]\\])*\]|\{\d+,\d*\}|\\.|.", re.DOTALL)
#: What matches without a letter.
NOTHING = '""'
Range = tuple[int, int]
#: What JSON does not show as it is, and halves of a letter.
HIDDEN = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)]
NAMED = {"\\n": "\n", "\\t": "\t", "\\r": "\r"}


class NotWritten(Exception):
    """There is no form for what stands at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


def written(schema: dict[str, Any]) -> str:
    """Return the grammar of a schema as `json_schema` puts it together.

    Raises:
        NotWritten: there is none.
        ValueError: it takes too long to compile.
    """
    writer = _Writer()
    for name, node in schema.get("$defs", {}).items():
        writer.rules[f"d{name}"] = writer.value(node, ("$defs", name))
    root = writer.value({k: v for k, v in schema.items() if k != "$defs"} or True, ())
    rules = "".join(f"{name} ::= {body}\n" for name, body in writer.rules.items())
    if len(rules) > MOST_CHARACTERS or writer.squared > MOST_SQUARED:
        raise ValueError("is too large, or has patterns that are too long")
    return f"root ::= {root}\n{COMMON.lstrip()}{rules}"


def literal(text: str) -> str:
    """Return what matches `text`: xgrammar writes `ö` as a number, and reads on from there."""
    pieces = re.findall(r"[ -~]+|[^ -~]", text)
    return " ".join('"' + re.sub(r'(["\\])', r"\\\1", piece) + '"' for piece in pieces) or NOTHING


class _Writer:
    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        self._named: dict[str, str] = {}
        self._patterns: dict[str, int] = {}

    def _rule(self, body: str) -> str:
        """Return the name of a rule for `body`."""
        if body not in self._named:
            self._named[body] = name = f"r{len(self._named)}"
            self.rules[name] = body
        return self._named[body]

    def value(self, node: Any, path: Path) -> str:
        """Return the name of a rule, or a group."""
        if node is True or node == {}:
            return "any"
        if "$ref" in node:
            return "d" + str(node["$ref"]).removeprefix("#/$defs/")
        if "enum" in node:
            return self._one_of(literal(_json(value)) for value in node["enum"])
        for word in ("anyOf", "oneOf"):
            if word in node:
                return self._one_of(
                    self.value(one, (*path, word, at)) for at, one in enumerate(node[word])
                )
        types = node.get("type", [*TYPES])
        types = [types] if isinstance(types, str) else types
        return self._one_of(self._typed(kind, node, path) for kind in dict.fromkeys(types))

    def _one_of(self, bodies: Iterable[str]) -> str:
        found = list(dict.fromkeys(bodies))
        return found[0] if len(found) == 1 and found[0].isalnum() else self._rule(" | ".join(found))

    def _typed(self, kind: str, node: dict[str, Any], path: Path) -> str:
        match kind:
            case "string":
                return self._string(node, path)
            case "integer" | "number":
                return self._number(kind, node)
            case "array":
                return self._array(node, path)
            case "object":
                return self._object(node, path)
        return kind

    def _string(self, node: dict[str, Any], path: Path) -> str:
        least, most = node.get("minLength", 0), node.get("maxLength")
        pattern = node.get("pattern") or FORMATS.get(node.get("format", ""))
        if not pattern:
            return (
                self._quoted(self._times("char", least, most))
                if least or most is not None
                else "string"
            )
        if least or most is not None:
            raise NotWritten((*path, "minLength" if least else "maxLength"))
        if "pattern" in node and "format" in node:
            raise NotWritten((*path, "format"))
        return self._matching(pattern)

    @property
    def squared(self) -> int:
        """See `MOST_SQUARED`."""
        return sum(length * length for length in self._patterns.values())

    def _matching(self, pattern: str) -> str:
        self._patterns[pattern] = longest(pattern)
        return self._quoted(_pattern(pattern))

    def _quoted(self, body: str) -> str:
        return self._rule(f'"\\"" ({body}) "\\""')

    def _times(self, rule: str, least: int, most: int | None) -> str:
        """Return `rule` so many times.

        In blocks, since each time that may be left out is one more state to look at for
        every token.
        """
        parts = [self._exactly(rule, least)] if least else []
        if most is None:
            parts.append(f"{rule}*")
        elif most > least:
            parts.append(self._at_most(rule, most - least))
        return " ".join(parts) or NOTHING

    def _exactly(self, rule: str, times: int) -> str:
        blocks, rest = divmod(times, BLOCK)
        parts = [self._rule(f"{rule}{{{rest},{rest}}}")] if rest else []
        if blocks:
            block = self._rule(f"{rule}{{{BLOCK},{BLOCK}}}")
            parts.append(self._exactly(block, blocks))
        return " ".join(parts)

    def _at_most(self, rule: str, times: int) -> str:
        if times <= BLOCK:
            return self._rule(f"{rule}{{0,{times}}}")
        blocks, rest = divmod(times, BLOCK)
        block = self._rule(f"{rule}{{{BLOCK},{BLOCK}}}")
        few = self._at_most(rule, BLOCK - 1)
        some = f"{self._at_most(block, blocks - 1)} {few}" if blocks > 1 else few
        last = self._at_most(rule, rest) if rest else ""
        return self._rule(f"{some} | {self._exactly(block, blocks)} {last}")

    def _number(self, kind: str, node: dict[str, Any]) -> str:
        low, low_open = _tightest(node, "minimum", "exclusiveMinimum", max)
        high, high_open = _tightest(node, "maximum", "exclusiveMaximum", min)
        if low is None and high is None:
            return kind
        if kind == "integer":
            first = None if low is None else floor(low) + 1 if low_open else ceil(low)
            last = None if high is None else ceil(high) - 1 if high_open else floor(high)
            return self._one_of(_integers(first, last))
        return self._one_of(_numbers(low, low_open, high, high_open))

    def _array(self, node: dict[str, Any], path: Path) -> str:
        least, most = node.get("minItems", 0), node.get("maxItems")
        first = [
            self.value(one, (*path, "prefixItems", at))
            for at, one in enumerate(node.get("prefixItems", []))
        ][:most]
        items = node.get("items", True)
        room = most is None or most > len(first)
        rest = self.value(items, (*path, "items")) if items is not False and room else None
        if not (first or least or most is not None):
            if rest is None:
                return self._rule('"[" space "]"')
            if rest == "any":
                return "array"
        body = ""
        if rest:
            more = self._rule(f'space "," space {rest}')
            needed = max(least - len(first), 0)
            left = None if most is None else most - len(first)
            if first:
                body = self._times(more, needed, left)
            else:
                body = f"{rest} {self._times(more, max(needed - 1, 0), left and left - 1)}"
                body = body if needed else f"({body})?"
        for at in reversed(range(len(first))):
            before = 'space "," space ' if at else ""
            body = f"{before}{first[at]} {body}"
            body = body if at < least else f"({body})?"
        return self._rule(f'"[" space {body or NOTHING} space "]"')

    def _object(self, node: dict[str, Any], path: Path) -> str:
        properties = node.get("properties", {})
        more = node.get("additionalProperties", True)
        patterns = node.get("patternProperties", {})
        least, most = node.get("minProperties", 0), node.get("maxProperties")
        required = [name for name in properties if name in node.get("required", [])]
        if patterns and (properties or more is not False):
            raise NotWritten((*path, "patternProperties"))
        if properties:
            if least > len(required):
                raise NotWritten((*path, "minProperties"))
            if most is not None and (more is not False or most < len(properties)):
                raise NotWritten((*path, "maxProperties"))
        elif more is True and not (patterns or least or most is not None):
            return "object"
        extra = ""
        if patterns:
            extra = self._one_of(
                self._member(self._matching(name), one, (*path, "patternProperties", name))
                for name, one in patterns.items()
            )
        elif more is not False:
            name = self._other_name(properties) if properties else "string"
            extra = self._member(name, more, (*path, "additionalProperties"))
        if not properties:
            if not extra:
                return self._rule('"{" space "}"')
            left = None if most is None else most - 1
            again = self._rule(f'space "," space {extra}')
            body = f"{extra} {self._times(again, max(least - 1, 0), left)}"
            if most == 0:
                body = NOTHING
            elif not least:
                body = f"({body})?"
            return self._rule(f'"{{" space {body} space "}}"')
        return self._rule(f'"{{" space {self._members(node, path, extra)} space "}}"')

    def _member(self, name: str, node: Any, path: Path) -> str:
        return self._rule(f'{name} space ":" space {self.value(node, path)}')

    def _members(self, node: dict[str, Any], path: Path, extra: str) -> str:
        """Return the properties in their order, of which the first has no comma before it."""
        members = [
            (
                self._member(literal(_json(name)), one, (*path, "properties", name)),
                name in node.get("required", []),
            )
            for name, one in node["properties"].items()
        ]
        after = self._rule(f'(space "," space {extra})*') if extra else NOTHING
        starts = [f"{extra} {after}", NOTHING] if extra else [NOTHING]
        for member, needed in reversed(members):
            starts = [f"{member} {after}", *([] if needed else starts)]
            with_comma = f'space "," space {member}'
            after = self._rule(f"{with_comma if needed else f'({with_comma})?'} {after}")
        return self._rule(" | ".join(starts))

    def _other_name(self, names: Iterable[str]) -> str:
        """Return a name that is none of these, without escapes, which could spell one."""
        return self._quoted(self._other([_json(name)[1:-1] for name in names]))

    def _other(self, names: Sequence[str]) -> str:
        heads = sorted({name[0] for name in names if name})
        letters = _without([(0, 0x10FFFF)], HIDDEN)
        others = _without(letters, [(ord(head), ord(head)) for head in heads])
        ways = [f"{_letters(others)} {_letters(letters)}*"]
        for head in heads:
            if head not in '"\\':
                after = [name[1:] for name in names if name[:1] == head]
                ways.append(f"{literal(head)} {self._other(after)}")
        if "" not in names:
            ways.append(NOTHING)
        return self._rule(" | ".join(ways))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _in_class(code: int) -> str:
    letter = chr(code)
    return f"\\{letter}" if letter in "\\]^-[" else letter


def _pattern(pattern: str) -> str:
    """Return a plain pattern (see `constraints.plain`) for the inside of a JSON string."""
    parts: list[str] = []
    for part in PART.findall(pattern.removeprefix("^").removesuffix("$")):
        if part in ("(", ")", "|") or part[0] == "{":
            if part in ")|" and parts[-1:] in (["("], ["|"]):
                parts.append(NOTHING)
            parts.append(part)
        elif part[0] == "[":
            parts.append(_class(part[1:-1]))
        else:
            letter = NAMED.get(part, part[-1])
            parts.append(literal(_json(letter)[1:-1]))
    return " ".join(parts).replace(" {", "{")


def _class(inner: str) -> str:
    negated = inner.startswith("^")
    marks = re.findall(r"\\.|.", inner[negated:], re.DOTALL)
    letters = [NAMED.get(mark, mark[-1]) for mark in marks]
    ranges = []
    at = 0
    while at < len(marks):
        through = at + 2 if marks[at + 1 : at + 2] == ["-"] and at + 2 < len(marks) else at
        ranges.append((ord(letters[at]), ord(letters[through])))
        at = through + 1

    if negated:
        ranges = _without([(0, 0x10FFFF)], ranges)
    ways = [_letters(shown)] if (shown := _without(ranges, HIDDEN)) else []
    for letter in '"\\\n\r\t':  # which JSON shows otherwise
        if any(first <= ord(letter) <= last for first, last in ranges):
            ways.append(literal(_json(letter)[1:-1]))
    return "(" + " | ".join(ways) + ")"


def _without(ranges: list[Range], holes: list[Range]) -> list[Range]:
    for start, end in holes:
        left = [(first, min(last, start - 1)) for first, last in ranges]
        right = [(max(first, end + 1), last) for first, last in ranges]
        ranges = [(first, last) for first, last in [*left, *right] if first <= last]
    return ranges


def _letters(ranges: list[Range]) -> str:
    """Return a class, in letters to have: what is not some letter is to xgrammar any bytes."""
    return "[" + "".join(_span(first, last) for first, last in ranges) + "]"


def _span(first: int, last: int) -> str:
    return _in_class(first) if first == last else f"{_in_class(first)}-{_in_class(last)}"


def _tightest(
    node: dict[str, Any], closed: str, open: str, tightest: Any
) -> tuple[Decimal | None, bool]:
    """Return a limit, and whether it is itself outside."""
    limits = [(Decimal(str(node[name])), name == open) for name in (closed, open) if name in node]
    if not limits:
        return None, False
    limit = tightest(value for value, _ in limits)
    return limit, any(value == limit and outside for value, outside in limits)


def _integers(low: int | None, high: int | None) -> list[str]:
    """Return the ways to write a whole number from `low` to `high`."""
    if low is not None and high is not None and low > high:
        return []
    ways = []
    if low is None or low < 0:
        least = 1 if high is None or high >= 0 else -high
        ways += [f'"-" {way}' for way in _naturals(least, None if low is None else -low)]
    if high is None or high >= 0:
        ways += _naturals(max(low or 0, 0), high)
    return ways


def _naturals(low: int, high: int | None) -> list[str]:
    if high is None:
        digits = len(str(low))
        more = f"[1-9] [0-9]{{{digits},{digits + 17}}}"
        return [*_naturals(low, 10**digits - 1), more]
    ways = []
    for digits in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (digits - 1) if digits > 1 else 0)
        last = min(high, 10**digits - 1)
        if first <= last:
            ways += _digits(str(first), str(last))
    return ways


def _digits(low: str, high: str) -> list[str]:
    """Return the ways to write a number between two that have as many digits."""
    if not low:
        return [NOTHING]
    if low[0] == high[0]:
        return [f"[{low[0]}] {way}" for way in _digits(low[1:], high[1:])]
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    ways = []
    if low[1:].strip("0"):
        ways += [f"[{first}] {way}" for way in _digits(low[1:], "9" * rest)]
        first += 1
    if high[1:].strip("9"):
        ways += [f"[{last}] {way}" for way in _digits("0" * rest, high[1:])]
        last -= 1
    if first <= last:
        ways.append(f"[{first}-{last}] [0-9]{{{rest},{rest}}}" if rest else f"[{first}-{last}]")
    return ways


def _numbers(
    low: Decimal | None, low_open: bool, high: Decimal | None, high_open: bool
) -> list[str]:
    """Return the ways to write a number between the limits, without an exponent."""
    ways = []
    if low is None or low < 0:
        near, near_open = (Decimal(0), True) if high is None or high >= 0 else (-high, high_open)
        far = None if low is None else -low
        ways += [f'"-" {way}' for way in _amounts(near, near_open, far, low_open)]
    if high is None or high >= 0:
        near, near_open = (Decimal(0), False) if low is None or low < 0 else (low, low_open)
        ways += _amounts(near, near_open, high, high_open)
    return ways


def _amounts(low: Decimal, low_open: bool, high: Decimal | None, high_open: bool) -> list[str]:
    """Return the ways to write a number that is not negative, by its whole part."""
    first = int(low)
    last = None if high is None else int(high)
    if last is not None and last < first:
        return []
    ways = []
    if last is None or last > first + 1:
        between = _naturals(first + 1, None if last is None else last - 1)
        ways += [f"{way} fraction?" for way in between]
    same = last == first
    tails = _tails(
        low - first, low_open, high - first if same and high is not None else None, high_open
    )
    ways += [f"{literal(str(first))} {tail}" for tail in tails]
    if last is not None and high is not None and not same:
        tails = _tails(Decimal(0), False, high - last, high_open)
        ways += [f"{literal(str(last))} {tail}" for tail in tails]
    return ways


def _tails(low: Decimal, low_open: bool, high: Decimal | None, high_open: bool) -> list[str]:
    """Return the ways to write what follows a whole part: a share of 1, or nothing."""
    places = max(_places(low), _places(high or Decimal(0)))
    scale = 10**places
    first, last = int(low * scale), scale - 1 if high is None else int(high * scale)
    ways = []
    if low == 0 and not low_open and not (high == 0 and high_open):
        ways.append(NOTHING)
    inner_first = first + 1 if low_open else first
    inner_last = last if high is None else last - 1
    if places == 0:
        if high is None:
            if not low_open:
                return [NOTHING, "fraction"]
            return ['"." [0]{0,16} [1-9] [0-9]{0,8}']
        return [*ways, '"." [0]{1,8}'] if ways else []

    def pad(number: int) -> str:
        return str(number).zfill(places)

    if inner_first <= inner_last:
        ways += [f'"." {way} [0-9]{{0,9}}' for way in _digits(pad(inner_first), pad(inner_last))]
    if high is not None and not high_open and (last > first or not low_open):
        ways.append(f'"." {literal(pad(last))} [0]{{0,9}}')
    if low_open and (high is None or last > first):
        ways.append(f'"." {literal(pad(first))} [0]{{0,9}} [1-9] [0-9]{{0,8}}')
    return ways


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -int(exponent))
