"""chat.core.imports: whatever is brought is refused, or becomes clean conversations."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chat.core.imports import take
from chat.errors import BadRequest
from tests.support.examples import some
from tests.support.exports import (
    CHATGPT,
    CLAUDE,
    REQUEST,
    WRITTEN,
    A,
    S,
    U,
)

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = ["role", "from", "sender", "author", "content", "value", "text", "parts", "isCreatedByUser"]
KEYS += ["messages", "conversations", "items", "mapping", "current_node", "parent", "children"]
KEYS += [
    "message",
    "metadata",
    "weight",
    "recipient",
    "create_time",
    "update_time",
    "title",
    "chat",
]
KEYS += ["history", "currentId", "parentId", "params", "system", "options", "conversationId"]
KEYS += ["messageId", "parentMessageId", "chat_messages", "uuid", "name", "updated_at", "body"]
KEYS += ["input", "format", "version", "saved", "type", "a", "b"]
VALUES = [U, A, S, "tool", "root", "human", "gpt", "a", "b", "all", "text", "fourbit-chat", 1, "Hi"]
VALUES += ["2026-01-31", "0001-01-01T00:00:00+23:59", 1e308, 1700000000, -1e20, 10**400, True]
NEAR = st.recursive(
    st.sampled_from(VALUES) | JUNK,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6)
    ),
    max_leaves=25,
)


def places(content: Any) -> list[tuple[Any, Any]]:
    """Return where in what was JSON something stands: each container and a key of it."""
    found, left = [], [content]
    while left:
        one = left.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one))
        found += [(one, key) for key in keys]
        left += [one[key] for key in keys if isinstance(one[key], dict | list)]
    return found


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """Return what a program writes, with other things in some places."""
    content = json.loads(json.dumps(draw(st.sampled_from([*WRITTEN.values()]))))
    for _ in range(draw(st.integers(1, 3))):
        if where := places(content):
            container, key = draw(st.sampled_from(where))
            container[key] = draw(JUNK | st.sampled_from(VALUES))
    return draw(st.sampled_from([content, [content], [content, REQUEST]]))


@settings(deadline=None, max_examples=some(150))
@given(JUNK | NEAR | spoiled())
@example([{"role": U, "content": "\ud800"}])
@example({**CLAUDE, "name": "\ud800\x00\n", "updated_at": "0001-01-01T00:00:00+23:59"})
@example({**CHATGPT, "update_time": float("nan"), "mapping": {"a": {"parent": [], "message": {}}}})
def test_whatever_is_brought_is_refused_or_becomes_clean_conversations(content: Any) -> None:
    check(content)
    check(json.dumps(content).encode())
    check(b"\n".join([json.dumps(content).encode()] * 2))


@settings(deadline=None)
@given(st.binary(max_size=30) | st.text(max_size=20).map(str.encode))
def test_whatever_bytes_are_brought_are_refused_or_become_conversations(data: bytes) -> None:
    check(data)


def check(content: Any) -> None:
    try:
        taken = take(content)
    except BadRequest as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert refused.startswith("This file ")
        assert "\n" not in refused
        return
    assert taken.sentence.startswith("Took ")
    written = [conversation.model_dump(mode="json") for conversation in taken.conversations]
    for conversation in json.loads(json.dumps(written)):
        roles = [entry["role"] for entry in conversation["messages"]]
        dialogue = roles[S in roles[:1] :]
        assert dialogue
        assert S not in dialogue
        assert all(one != two for one, two in pairwise(dialogue))
        for entry in conversation["messages"]:
            assert (entry["content"] + entry.get("reasoning_content", "")).strip()
        assert "\x1b" not in str(conversation)
        assert conversation["title"] == " ".join(conversation["title"].split())
