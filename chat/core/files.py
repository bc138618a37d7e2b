"""Files that people bring: what of their text a model has room for."""

import re
from typing import NamedTuple

from chat import child
from chat.core import attached, pdf
from chat.core.conversation import clean
from chat.core.title import line
from chat.core.tokens import Tokens
from chat.errors import BadRequest
from prompts.unicode import decode

#: A kind of file, as code of it is marked.
KIND = re.compile(r"\.([A-Za-z0-9+]{1,12})$")
PDF = b"%PDF-"
#: How much of the model's window the files of one message may take.
SHARE = 0.5
#: More tokens than this are left, or there is no room for a file.
LEAST = 64
#: Characters for each token that a file may have that are looked at.
LOOKED_AT = 16
#: Seconds that a child may take to read a PDF on a busy machine.
PATIENCE = 60.0


class File(NamedTuple):
    """A text that comes with a message."""

    #: What it is called, and how much of it there is.
    title: str
    #: How it stands before the message.
    block: str
    #: Tokens of its text.
    tokens: int


def read(name: str, data: bytes) -> str:
    """Return the text in a file, whoever made it.

    Raises:
        BadRequest: there is none.
    """
    text = clean(_text(line(name), data)).strip("\n")
    if not text.strip():
        raise BadRequest(f"{line(name)} holds no text.")
    return text


def fitted(name: str, text: str, tokens: Tokens, window: int, used: int = 0) -> File:
    """Return a text that comes with a message, as much of it as there is room for.

    `window` is the model's, and `used` are the tokens of other files with the same message.

    Raises:
        BadRequest: there is no room.
    """
    name = line(name) or "File"
    most = int(window * SHARE) - used
    if most < LEAST:
        raise BadRequest(
            f"There is no room for {name}: the files of one message may have "
            f"{int(window * SHARE):,} tokens in all."
        )
    part, size, whole = _cut(text, tokens, most)
    count = f"{size:,} token{'s' * (size != 1)}"
    if part != text:
        count = f"the first {size:,} of {whole:,} tokens" if whole else f"the first {count}"
    kind = KIND.search(name)
    title = f"{name} ({count})"
    return File(title, attached.block(title, part, kind[1].lower() if kind else ""), size)


def _cut(text: str, tokens: Tokens, most: int) -> tuple[str, int, int]:
    """Return what fits of a text, its tokens, and those of all; 0 if nobody has counted them."""
    seen = text[: most * LOOKED_AT]
    size = whole = len(tokens.encode([seen]))
    part, share = seen, 1.0
    while size > most:
        part = part[: int(len(part) * min(most / size, share))]
        share = 0.8  # a text that is not alike all over would take many rounds
        end = part.rfind("\n")
        part = part[:end] if end > len(part) * 0.8 else part
        size = len(tokens.encode([part]))
    return part, size, whole if seen == text else 0


def _text(name: str, data: bytes) -> str:
    if data.lstrip()[:5] == PDF:
        try:
            return child.answer(pdf.__name__, given=data, seconds=PATIENCE).decode()
        except child.Exceeded:
            raise BadRequest(
                f"{name} cannot be read: it is damaged or locked, or would take too much."
            ) from None
    try:
        text = decode(data)
    except ValueError:
        text = data.decode("cp1252", "replace")  # as programs write on Windows
    if "\0" in text or sum(map(_strange, text[:10_000])) > len(text[:10_000]) * 0.02:
        raise BadRequest(f"{name} holds no text that can be read here.")
    return text


def _strange(character: str) -> bool:
    return character == "\ufffd" or (character < " " and character not in "\t\n\r\f\v\x1b")
