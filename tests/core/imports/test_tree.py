"""chat.core.imports: of a tree of messages the branch that was on the screen is taken."""

from typing import Any

import pytest

from chat.core.imports import take
from tests.support.exports import (
    CHATGPT,
    HIDDEN,
    LIBRECHAT,
    OPEN_WEBUI,
    RAIN,
    A,
    S,
    U,
    chatgpt,
    only,
    part,
    shown,
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, RAIN),
        ({"current_node": "old2"}, [(U, "A poem?"), (A, "Roses are red.")]),
        ({"current_node": "u"}, RAIN[:1]),
        ({"current_node": "nowhere"}, RAIN),
        ({"current_node": None}, RAIN),
        ({"current_node": 5, "title": None, "update_time": None}, RAIN),
    ],
)
def test_of_chatgpts_tree_the_branch_on_the_screen_is_taken(change: Any, expected: Any) -> None:
    assert only({**CHATGPT, **change}) == expected


def test_chatgpts_pictures_transcripts_and_hidden_messages() -> None:
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}
    voice = {"content_type": "audio_transcription", "text": "Hello there", "direction": "in"}
    thoughts = part(A, content={"content_type": "thoughts", "thoughts": [{"content": "Hm."}]})
    content = chatgpt(
        ("s", None, part("system", "You are helpful.")),
        ("i", "s", part(U, "About me", metadata=HIDDEN)),
        ("w", "i", part(A, "Unweighted", weight=0.0)),
        ("u", "w", part(U, picture, "What is this?")),
        ("t", "u", thoughts),
        ("a", "t", part(A, "A cat.")),
        ("v", "a", part(U, voice)),
        ("p", "v", part(A, picture)),
        ("c", "p", part(A, content={"content_type": "code", "language": "py", "text": "1 + 1"})),
        current="c",
    )
    taken = take([content])
    assert shown(taken.conversations[0]) == [
        (S, "You are helpful."),
        (U, "What is this?"),
        (A, "A cat."),
        (U, "Hello there"),
        (A, "1 + 1"),
    ]
    assert taken.left == {"messages": 1}
    assert taken.conversations[0].messages[2].reasoning_content == "Hm."


def test_librechats_tree_may_be_nested_and_a_flat_list_is_taken_whole() -> None:
    first, other, last = LIBRECHAT["messages"]  # type: ignore[misc]
    nested = {**LIBRECHAT, "recursive": True, "messages": [{**first, "children": [other, last]}]}
    assert only(nested) == RAIN
    flat = {**LIBRECHAT, "messages": [first, last]}
    assert only(flat) == RAIN
    lost = {**LIBRECHAT, "messages": [first, {**last, "parentMessageId": "lost"}]}
    assert only(lost) == RAIN


def test_a_tree_that_bites_its_tail_ends() -> None:
    ring = chatgpt(("a", "b", part(U, "A poem?")), ("b", "a", part(A, RAIN[1][1])), current="b")
    assert only(ring) == RAIN
    alone = chatgpt(("a", "a", part(U, "A poem?")), current="a")
    assert only(alone) == RAIN[:1]
    nodes = OPEN_WEBUI["chat"]["history"]["messages"]  # type: ignore[index]
    tail = {
        "chat": {
            "history": {
                "currentId": "b",
                "messages": {**nodes, "a": {**nodes["a"], "parentId": "b"}},
            }
        }
    }
    assert only(tail) == RAIN


def test_a_long_and_a_wide_tree_are_walked_in_a_moment() -> None:
    size = 100_000
    long = chatgpt(
        *((str(at), str(at - 1) if at else None, part((U, A)[at % 2], "x")) for at in range(size)),
        current=str(size - 1),
    )
    assert len(only(long)) == size
    wide = chatgpt(("r", None, None), *((str(at), "r", part(U, "x")) for at in range(size)))
    assert only(wide) == [(U, "x")]
    messages = [
        {"messageId": str(at), "parentMessageId": "r", "isCreatedByUser": True, "text": "x"}
        for at in range(size)
    ]
    assert only({"conversationId": "1", "messages": messages}) == [(U, "x")]
    nested: Any = []
    for _ in range(size):
        nested = [{"isCreatedByUser": True, "text": "x", "children": nested}]
    assert only({"conversationId": "1", "messages": nested}) == [(U, "\n\n".join("x" * size))]
