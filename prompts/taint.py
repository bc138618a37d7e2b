"""Text that knows who wrote each letter of it: taint tracking through a chat template.

A template may cut, strip, test, count and join what people wrote. It sees the
text itself, and whatever it makes of it, the letters still know their owner: a
person, by the role that their message had, or the template. So it can be told
afterwards which control tokens are the template's own.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

#: Private-use characters that stand before what was written in each role, and one after it.
OPENING = {"system": "\ue0f0", "user": "\ue0f1", "assistant": "\ue0f4"}
CLOSING = "\ue0f5"
MARKS = "".join(OPENING.values()) + CLOSING
ROLES = {mark: role for role, mark in OPENING.items()}
MARK = re.compile(f"([{MARKS}])")
HALF = re.compile("[\ud800-\udfff]")

#: The owner of the letters that no person wrote.
TEMPLATE = " "
RUN = re.compile("|".join(f"{owner}+" for owner in (TEMPLATE, *ROLES)))


def _answers_as_bare(tainted: type["Tainted"]) -> type["Tainted"]:
    """Have all that can be asked of a text, and is not answered here, asked of the bare one."""
    asked = ["__contains__", "__len__", "__mod__", "__hash__", "__repr__"]
    asked += ["__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"]
    asked += [name for name in vars(str) if not name.startswith("__")]
    for name in asked:
        if name not in vars(tainted):
            setattr(tainted, name, _method(name))
    return tainted


def _method(name: str) -> Callable[..., Any]:
    def method(self: "Tainted", *arguments: Any, **named: Any) -> Any:
        result = getattr(self.bare, name)(*bare(arguments), **bare(named))
        match name:
            case "strip":
                start = len(self.bare) - len(self.bare.lstrip(*bare(arguments)))
                return self[start : start + len(result)]
            case "lstrip" | "removeprefix":
                return self[len(self.bare) - len(result) :]
            case "rstrip" | "removesuffix":
                return self[: len(result)]
            case "split" | "rsplit":
                separator = next(iter(arguments), named.get("sep"))
                return self._parts(result, len(separator or ""))
            case "splitlines" | "partition" | "rpartition":
                return self._parts(result, 0)
            case _:
                return self._like(result) if isinstance(result, str) else result

    method.__name__ = name  # by which Jinja's sandbox knows `format`
    return method


@_answers_as_bare
class Tainted(str):
    """A text with an owner for each letter.

    It answers as `bare` does, the text alone, and gives parts of itself tainted
    as they were. Its letters as a `str` are `bare` with marks around what people
    wrote, so that C code that copies them, as `"".join` does, keeps the owners
    for `read`.
    """

    bare: str
    #: As long as `bare`: for each letter the mark of its owner's role, or `TEMPLATE`.
    owners: str

    def __new__(cls, marked: str) -> "Tainted":
        """Return the text that `marked` holds between and inside its marks."""
        bare, owners, open = [], [], [TEMPLATE]
        for part in MARK.split(marked):
            if part in ROLES:
                open.append(part)
            elif part == CLOSING:
                open = open[:-1] or [TEMPLATE]
            else:
                bare.append(part)
                owners.append(open[-1] * len(part))
        made = super().__new__(cls, marked)
        made.bare, made.owners = "".join(bare), "".join(owners)
        return made

    def runs(self) -> Iterator[tuple[str | None, int, int]]:
        """Return where each part with one owner starts and stops, and his role.

        The role is None for the template.
        """
        for run in RUN.finditer(self.owners):
            yield ROLES.get(self.owners[run.start()]), *run.span()

    def __str__(self) -> str:
        return self

    def __reduce__(self) -> Any:
        return Tainted, (str.__str__(self),)

    def __iter__(self) -> Iterator[str]:
        return map(_owned, self.bare, self.owners)

    def __getitem__(self, key: Any) -> str:
        return _owned(self.bare[key], self.owners[key])

    def __add__(self, other: Any) -> str:
        return joined([self, other]) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: Any) -> str:
        return joined([other, self]) if isinstance(other, str) else NotImplemented

    def __mul__(self, times: Any) -> str:
        return _owned(self.bare * times, self.owners * times)

    __rmul__ = __mul__

    def __rmod__(self, form: str) -> Any:
        return read(str.__mod__(form, (self,)))

    def replace(self, old: str, new: str, count: Any = -1) -> str:
        """See `str.replace`; what is put in keeps its own owners."""
        if not old:
            return self._like(self.bare.replace("", bare(new), count))
        return joined(_between(self.split(old, count), new))

    def join(self, parts: Iterable[str]) -> str:
        """See `str.join`."""
        return joined(_between(list(parts), self))

    def _parts(self, parts: list[str] | tuple[str, ...], gap: int) -> Any:
        """Return `parts` of the text, which stand in it in this order, `gap` letters apart."""
        found, position = [], 0
        for part in parts:
            start = self.bare.index(part, position)
            found.append(self[start : start + len(part)])
            position = start + len(part) + gap
        return type(parts)(found)

    def _like(self, text: str) -> str:
        """Return what was made of this text letter by letter, or some way that is not known."""
        if len(text) == len(self.bare):
            return _owned(text, self.owners)
        return _owned(text, (self.owners.strip(TEMPLATE) or TEMPLATE)[0] * len(text))


def taint(text: str, role: str) -> str:
    """Return what someone wrote in this role, without what would pass for a mark of ours.

    Halves of letters, which JSON can have, are none, and no tokenizer reads them.
    """
    for mark in MARKS:
        text = text.replace(mark, "")
    text = HALF.sub("\ufffd", text)
    return _owned(text, OPENING.get(role, OPENING["user"]) * len(text))


def read(value: Any) -> Any:
    """Return `value`, tainted again if it is a text that was put together of some that was."""
    if isinstance(value, str) and not isinstance(value, Tainted) and CLOSING in value:
        return Tainted(value)
    return value


def bare(value: Any) -> Any:
    """Return `value` with each text in it bare."""
    match value:
        case Tainted():
            return value.bare
        case list():
            return list(map(bare, value))
        case tuple():
            return tuple(map(bare, value))
        case dict():
            return {bare(key): bare(entry) for key, entry in value.items()}
        case _:
            return value


def joined(parts: Iterable[str]) -> str:
    """Return the parts as one text."""
    parts = [read(part) for part in parts]
    made = str.__new__(Tainted, "".join(parts))
    made.bare = "".join(map(bare, parts))
    made.owners = "".join(
        part.owners if isinstance(part, Tainted) else TEMPLATE * len(part) for part in parts
    )
    return made


def _owned(text: str, owners: str) -> str:
    if not owners.strip(TEMPLATE):
        return text
    marked = []
    for run in RUN.finditer(owners):
        part, owner = text[run.start() : run.end()], owners[run.start()]
        marked.append(part if owner == TEMPLATE else owner + part + CLOSING)
    made = str.__new__(Tainted, "".join(marked))
    made.bare, made.owners = text, owners
    return made


def _between(parts: list[str], separator: str) -> Iterator[str]:
    for index, part in enumerate(parts):
        if index:
            yield separator
        yield part
