"""JSON schemas (json-schema.org, 2020-12) as they are asked for, in a form that engines take.

What composes (`allOf`, `$ref` beside other words) is put together first (see `reader`). Two
grammar libraries follow: llguidance reads the schema as it is returned, and says what it does
not offer; for xgrammar it is written out (see `grammar`). What either of them cannot is
refused by its path.
"""

import json
from functools import lru_cache
from typing import Any, NamedTuple

from chat.core.schema.grammar import NotWritten, written
from chat.core.schema.judge import Judge
from chat.core.schema.reader import Reader
from chat.core.schema.words import TOO_LARGE, refuse

#: The longest schema, in characters.
LONGEST_SCHEMA = 100_000


class Fitting(NamedTuple):
    """What ties a reply down to a schema, for each grammar library."""

    #: A JSON schema, for llguidance with `judge.SPACES`.
    schema: str
    #: EBNF, for xgrammar.
    grammar: str


@lru_cache(maxsize=32)
def fitting(schema: str) -> Fitting:
    """Read a JSON schema.

    An object leaves no room for properties that it does not name unless it asks for
    them, unlike in JSON Schema, where a small model would invent one after the other.

    Raises:
        ValueError: it is no JSON schema, is too large, or asks for what is not offered.
    """
    if len(schema) > LONGEST_SCHEMA:
        raise ValueError(f"must have at most {LONGEST_SCHEMA:,} characters")
    try:
        root = json.loads(schema)
        schema.encode()
        json.dumps(root, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        root = None
    if not isinstance(root, dict):
        raise ValueError("must be a JSON object")
    try:
        return _fitting(Reader(root).whole())
    except RecursionError:
        raise ValueError(TOO_LARGE) from None


def _fitting(read: dict[str, Any]) -> Fitting:
    Judge(read.get("$defs", {})).check(read, ())
    try:
        return Fitting(json.dumps(read, ensure_ascii=False), written(read))
    except NotWritten as error:
        refuse(error.path)
