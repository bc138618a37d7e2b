"""A JSON schema written out as EBNF, for xgrammar.

Its own compiler of schemas reads an `ö` before a `b` as another letter, and lets white
space go on for ever. Here each letter beyond ASCII is a literal of its own, and
between two tokens there is at most one space. What it has no form for is refused.
"""

from collections.abc import Iterable, Sequence
from math import ceil, floor
from typing import Any

from chat.core.constraints import longest
from chat.core.schema.formats import FORMATS
from chat.core.schema.letters import HIDDEN, NOTHING, class_of, json_of, literal, without
from chat.core.schema.numbers import integers, numbers, tightest
from chat.core.schema.patterns import quoted
from chat.core.schema.words import Path, name_of, types_of

#: The longest grammar, in characters, and the most that the squares of its patterns' lengths
#: (with their repetitions written out) may come to: where much can be left out, compiling
#: takes as long as the square.
MOST_CHARACTERS, MOST_SQUARED = 60_000, 20_000
TOO_LONG = "is too large, or has patterns that are too long"
#: How often something may come in one piece: more takes xgrammar seconds a token.
BLOCK = 32
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


class NotWritten(Exception):
    """There is no form for what stands at `path`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path


def written(schema: dict[str, Any]) -> str:
    """Return the grammar of a schema as `reader` puts it together.

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
        raise ValueError(TOO_LONG)
    return f"root ::= {root}\n{COMMON.lstrip()}{rules}"


class _Writer:
    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        #: See `MOST_SQUARED`.
        self.squared = 0
        self._named: dict[str, str] = {}
        self._matched: dict[str, str] = {}
        self._size = 0

    def _rule(self, body: str) -> str:
        """Return the name of a rule for `body`."""
        if body not in self._named:
            self._named[body] = name = f"r{len(self._named)}"
            self.rules[name] = body
            self._size += len(body)
            if self._size > MOST_CHARACTERS:  # and not once all of it is written
                raise ValueError(TOO_LONG)
        return self._named[body]

    def value(self, node: Any, path: Path) -> str:
        """Return the name of a rule, or a group."""
        if node is True or node == {}:
            return "any"
        if name := name_of(node):
            return f"d{name}"
        if "enum" in node:
            return self._one_of(literal(json_of(value)) for value in node["enum"])
        for word in ("anyOf", "oneOf"):
            if word in node:
                return self._one_of(
                    self.value(one, (*path, word, at)) for at, one in enumerate(node[word])
                )
        types = dict.fromkeys(types_of(node))
        return self._one_of(self._typed(kind, node, path) for kind in types)

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

    def _matching(self, pattern: str) -> str:
        if pattern not in self._matched:
            self.squared += longest(pattern) ** 2
            self._matched[pattern] = self._quoted(quoted(pattern))
        return self._matched[pattern]

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
        low, low_open = tightest(node, "minimum", "exclusiveMinimum", max)
        high, high_open = tightest(node, "maximum", "exclusiveMaximum", min)
        if low is None and high is None:
            return kind
        if kind == "integer":
            first = None if low is None else floor(low) + 1 if low_open else ceil(low)
            last = None if high is None else ceil(high) - 1 if high_open else floor(high)
            return self._one_of(integers(first, last))
        return self._one_of(numbers(low, low_open, high, high_open))

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
        required = {*properties} & {*node.get("required", [])}
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
        required = {*node.get("required", [])}
        members = [
            (
                self._member(literal(json_of(name)), one, (*path, "properties", name)),
                name in required,
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
        return self._quoted(self._other([json_of(name)[1:-1] for name in names]))

    def _other(self, names: Sequence[str]) -> str:
        after: dict[str, list[str]] = {}
        for name in names:
            if name:
                after.setdefault(name[0], []).append(name[1:])
        heads = sorted(after)
        letters = without([(0, 0x10FFFF)], HIDDEN)
        others = without(letters, [(ord(head), ord(head)) for head in heads])
        ways = [f"{class_of(others)} {class_of(letters)}*"]
        for head in heads:
            if head not in '"\\':
                ways.append(f"{literal(head)} {self._other(after[head])}")
        if "" not in names:
            ways.append(NOTHING)
        return self._rule(" | ".join(ways))
