"""chat.web.page.panel.saved: versions of messages and replies, and how those were made."""

from typing import Any

import pytest

from chat.core.export import DEEPEST, MOST_WAYS
from chat.core.made import Made
from chat.errors import BadRequest
from chat.web.page.panel.saved import (
    SavedConversations,
)
from tests.support.saved import entries, file_of, imported

pytestmark = pytest.mark.usefixtures("read_here")


def way(*contents: str, **more: Any) -> dict[str, Any]:
    return {"messages": entries(*contents), **more}


HOW = {
    "model": "model",
    "ended": "stop",
    "prompt_tokens": 12,
    "dropped_turns": 0,
    "tokens": 3,
    "thought_tokens": 0,
    "first_token": 0.25,
    "seconds": 1.5,
    "window": 2000,
    "controls": {"temperature": 0.5, "stop": "a"},
}


def test_versions_and_how_replies_were_made_are_saved_exported_and_imported(
    saved: SavedConversations,
) -> None:
    inner = way("X", "Y", versions=[{"at": 1, "ways": [way("Z"), None]}])
    said = {
        **way("A", "B < c"),
        "made": [None, HOW],
        "versions": [{"at": 0, "ways": [inner, None]}, {"at": 1, "ways": [None, way("C")]}],
    }
    sealed = saved.seal(None, said, "Obey.")
    assert sealed is not None
    found = saved.open(None, sealed["text"])
    assert [fork.at for fork in found.versions] == [0, 1]
    first, none = found.versions[0].ways
    assert first is not None
    assert none is None
    assert [entry.content for entry in first.messages] == ["X", "Y"]
    assert found.messages[2].made == Made(**HOW)
    file = saved.export(None, sealed["title"], sealed["text"], "2026-01-31T12:00:00Z")
    assert [one["content"] for one in file["conversations"][0]["messages"]] == [
        "Obey.",
        "A",
        "B < c",
    ]
    (again,) = imported(saved, file)
    opened_again = saved.open(None, again["text"])
    assert opened_again.versions[1] == found.versions[1]
    assert opened_again.versions[0].ways[0] == first


@pytest.mark.parametrize(
    "more",
    [
        {"versions": [{"at": 7, "ways": [None, way("C")]}]},
        {"versions": [{"at": 1, "ways": [None, {"messages": []}]}]},
        {"versions": [{"at": 1, "ways": [way("C"), way("D")]}]},
        {"versions": [{"at": 1, "ways": [None, None]}]},
        {"versions": [{"at": "0", "ways": []}, {}, 7, None]},
        {"made": [HOW]},
        {"made": [None, {**HOW, "tokens": -1}]},
        {"made": [None, {**HOW, "controls": {"stop": "a" * 201}}]},
        {"made": [None, 7]},
        {"made": [None, {**HOW, "prompt_tokens": 10**30}]},
        {"made": [None, {**HOW, "seconds": float("inf")}]},
        {"made": [None, {**HOW, "controls": {"a" * 201: 1}}]},
    ],
)
def test_versions_that_are_none_are_left_out(
    saved: SavedConversations, more: dict[str, Any]
) -> None:
    sealed = saved.seal(None, {**way("A", "B"), **more})
    assert sealed is not None
    found = saved.open(None, sealed["text"])
    assert found.versions == []
    assert [entry.made for entry in found.messages] == [None, None]


def test_there_are_only_so_many_versions(saved: SavedConversations) -> None:
    ways = [None, *([way("C")] * (MOST_WAYS - 1))]
    assert saved.seal(None, {**way("A", "B"), "versions": [{"at": 1, "ways": ways}]})
    for more in ([*ways, way("C"), way("C")], [{}] * 300_000):
        with pytest.raises(BadRequest, match="too many versions"):
            saved.seal(None, {**way("A", "B"), "versions": [{"at": 1, "ways": more}]})
    said = {"messages": [{"role": "user", "content": "A"}]}
    several = {**said, "versions": [{"at": 0, "ways": [None, *([said] * (MOST_WAYS + 1))]}]}
    (again,) = imported(saved, file_of(several))
    assert saved.open(None, again["text"]).versions == []


def test_versions_inside_of_versions_have_an_end(saved: SavedConversations) -> None:
    said = way("A")
    for _ in range(DEEPEST):
        said = way("A", versions=[{"at": 0, "ways": [None, said]}])
    assert saved.seal(None, said) is not None
    with pytest.raises(BadRequest, match="too many versions"):
        saved.seal(None, way("A", versions=[{"at": 0, "ways": [None, said]}]))
