"""Chat templates in Jinja, run on tainted text (`prompts.taint`).

The environment is that of transformers, with its filters, functions and sandbox,
except that each way in which Jinja makes one text of several keeps the taint.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from jinja2 import Template, TemplateSyntaxError, nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.sandbox import ImmutableSandboxedEnvironment

from prompts.base import PromptError
from prompts.taint import Tainted, bare, read, taint

#: The longest reason of a template for refusing a conversation that is told.
LONGEST = 200

#: Filters that look at the letters themselves, and not through the methods of a text.
BY_LETTERS = {"title", "wordwrap", "wordcount", "urlencode", "urlize", "striptags", "xmlattr"}
BY_LETTERS |= {"pprint", "tojson", "int", "float", "filesizeformat"}


def compiled(source: str) -> Template:
    """Return a chat template, ready to be rendered.

    Raises:
        PromptError: it has a fault in its syntax; says which, and in what line.
    """
    # Not documented: the environment that `apply_chat_template` renders in.
    from transformers.utils.chat_template_utils import _compile_jinja_template

    theirs = _compile_jinja_template("").environment
    environment = _Environment(
        trim_blocks=theirs.trim_blocks,
        lstrip_blocks=theirs.lstrip_blocks,
        extensions=[type(extension) for extension in theirs.extensions.values()],
    )
    environment.globals = theirs.globals
    environment.filters = {
        name: _letters(filter) if name in BY_LETTERS else _reading(filter)
        for name, filter in theirs.filters.items()
    }
    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        where = f"{reason(error)} (line {error.lineno})"
        raise PromptError(f"The chat template cannot be read: {where}.") from None
    except RecursionError:
        raise PromptError("The chat template cannot be read: it is nested too deeply.") from None


def reason(error: Exception) -> str:
    """Return why a template failed, for a sentence: what it said itself, if it did."""
    text = " ".join(str(bare(getattr(error, "message", None) or str(error))).split())
    text = str(bare(read(text))) or type(error).__name__
    return (text[:LONGEST] + "…" if len(text) > LONGEST else text).rstrip(".")


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
        theirs = isinstance(result, str) and any(map(_tainted, arguments))
        return taint(result, "user") if theirs else result

    return letters


def _tainted(value: Any) -> bool:
    match value:
        case dict():
            return any(map(_tainted, value.values()))
        case list() | tuple():
            return any(map(_tainted, value))
        case _:
            return isinstance(value, Tainted)
