"""Chat templates in Jinja, run on tainted text (`prompts.taint`).

What a template may use is what transformers documents for `apply_chat_template`:
`raise_exception`, `strftime_now`, `tojson`, loop controls and the generation
block, in Jinja's sandbox. Beyond that, each way in which Jinja makes one text of
several keeps the taint.
"""

import json
from collections.abc import Callable, Iterable, Set, ValuesView
from datetime import datetime
from functools import wraps
from typing import Any, NoReturn

from jinja2 import Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from prompts.base import PromptError
from prompts.taint import Tainted, bare, read, taint

#: The longest reason of a template for refusing a conversation that is told.
LONGEST = 200

#: Names for what every template is given, which nobody else may give it.
GIVEN = {"messages", "tools", "documents", "add_generation_prompt", "namespace", "dict"}
GIVEN |= {"raise_exception", "strftime_now", "range", "lipsum", "cycler", "joiner"}

#: Filters that look at the letters themselves, and not through the methods of a text.
BY_LETTERS = {"title", "wordwrap", "wordcount", "urlencode", "urlize", "striptags", "xmlattr"}
BY_LETTERS |= {"pprint", "tojson", "int", "float", "filesizeformat"}


def compiled(source: str) -> Template:
    """Return a chat template, ready to be rendered.

    Raises:
        PromptError: it has a fault in its syntax; says which, and in what line.
    """
    try:
        return _environment().from_string(source)
    except TemplateSyntaxError as error:
        where = f"{reason(error)} (line {error.lineno})"
        raise PromptError(f"The chat template cannot be read: {where}.") from None
    except (RecursionError, MemoryError, SyntaxError):
        raise PromptError("The chat template cannot be read: it is nested too deeply.") from None


def names(source: str) -> frozenset[str]:
    """Return the names that a template which can be read has for what it is given."""
    tree = _environment().parse(source)
    return frozenset(node.name for node in tree.find_all(nodes.Name)) - GIVEN


def reason(error: Exception) -> str:
    """Return why a template failed, for a sentence: what it said itself, if it did."""
    text = " ".join(str(bare(getattr(error, "message", None) or str(error))).split())
    text = str(bare(read(text))) or type(error).__name__
    return (text[:LONGEST] + "…" if len(text) > LONGEST else text).rstrip(".")


def _environment() -> "_Environment":
    environment = _Environment(
        trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, _Generation]
    )
    filters = {**environment.filters, "tojson": _json}
    environment.filters = {
        name: _letters(filter) if name in BY_LETTERS else _reading(filter)
        for name, filter in filters.items()
    }
    environment.globals |= {
        "raise_exception": _refuse,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "namespace": _Namespace,
        "dict": _Dict(),
    }
    return environment


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _json(
    value: Any,
    ensure_ascii: bool = False,
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


class _Namespace(Namespace):
    """Jinja's, without names that mean something to Python."""

    def __init__(*arguments: Any, **named: Any) -> None:
        for name in dict(*arguments[1:], **named):
            _check_name(name)
        Namespace.__init__(*arguments, **named)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


class _Dict:
    """`dict` for templates, and not the class itself, which would be a way into Python."""

    def __call__(self, *arguments: Any, **named: Any) -> dict[Any, Any]:
        return dict(*arguments, **named)

    def fromkeys(self, *arguments: Any) -> dict[Any, Any]:
        """See `dict.fromkeys`."""
        return dict.fromkeys(*arguments)


def _check_name(name: str) -> None:
    if name.startswith("_"):
        raise SecurityError(f"The namespace may not have a name like {name!r}.")


class _Generation(Extension):
    """`{% generation %}` marks a reply for those who train; here it is as if it were not there."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Code(CodeGenerator):
    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        self.write("environment.concat(map(str, (")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write(")))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:
        # `in` asks what stands on its right, which may be the template's own text.
        self.write("(environment.bare(")
        self.visit(node.expr, frame)
        self.write(")")
        for operand in node.ops:
            self.visit(operand, frame)
        self.write(")")


class _Environment(ImmutableSandboxedEnvironment):
    code_generator_class = _Code
    intercepted_binops = frozenset("%")
    bare = staticmethod(bare)

    @staticmethod
    def concat(parts: Iterable[str]) -> Any:
        return read("".join(parts))

    def call(self, context: Any, called: Any, /, *arguments: Any, **named: Any) -> Any:
        text = getattr(called, "__self__", None)
        if type(text) is str and any(map(_tainted, (*arguments, *named.values()))):
            called = getattr(Tainted(text), called.__name__)
        return read(super().call(context, called, *arguments, **named))

    def call_binop(self, *arguments: Any) -> Any:
        return read(super().call_binop(*arguments))


def _reading(filter: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter)
    def reading(*arguments: Any, **named: Any) -> Any:
        return read(filter(*arguments, **named))

    return reading


def _letters(filter: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that sees bare text; what it makes of someone's text is theirs as a whole."""

    @wraps(filter)
    def letters(*arguments: Any, **named: Any) -> Any:
        result = filter(*bare(arguments), **bare(named))
        theirs = isinstance(result, str) and any(map(_tainted, (*arguments, *named.values())))
        return taint(result, "user") if theirs else result

    return letters


def _tainted(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_tainted, (*value.keys(), *value.values())))
    if isinstance(value, list | tuple | Set | ValuesView):  # its keys and its items are sets
        return any(map(_tainted, value))
    return isinstance(value, Tainted)
