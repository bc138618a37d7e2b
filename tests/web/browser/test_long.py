"""A long conversation stays quick: what has not changed is not styled or laid out anew."""

import pytest

from chat.web.page import pace
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import PACE, Visit

TURNS = 3
#: Notes what is set of attributes in the conversation, and what is inserted there.
NOTING = """() => {
    const log = document.querySelector("[role=log]");
    window.directions = 0;
    new MutationObserver((changes) => window.directions += changes.length)
        .observe(log, {subtree: true, attributeFilter: ["dir"]});
}"""

#: Notes all that the last reply was.
READING = """() => {
    const log = document.querySelector("[role=log]");
    window.replies = new Set();
    new MutationObserver(() => {
        const last = [...log.querySelectorAll("[data-testid=bot]")].at(-1);
        window.replies.add(last?.textContent.trim());
    }).observe(log, {subtree: true, childList: true, characterData: true});
}"""


def test_messages_that_stay_keep_their_direction_while_a_reply_grows(
    serve: Serve, visit: Visit
) -> None:
    tab = visit(serve(ScriptedEngine(lambda _: "One word after another.", pace=PACE / 2)))
    tab.ask("Begin")
    tab.page.evaluate(NOTING)
    tab.ask("Go on")
    # Each message that is new is given its own once, or a few times, as it is made.
    assert tab.page.evaluate("window.directions") <= 4


def test_a_reply_comes_in_fewer_parts_where_there_is_more_before_it(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "A_MESSAGE", 1000.0)
    tab = visit(serve(ScriptedEngine(lambda _: "One word after another.", pace=PACE)))
    tab.ask("Begin")
    tab.page.evaluate(READING)
    tab.ask("Go on")
    # What was there before, the first part, and the whole.
    assert tab.page.evaluate("window.replies.size") <= 3


def test_messages_out_of_sight_are_not_laid_out(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda _: "word\n\n" * 60)))
    for turn in range(TURNS):
        tab.ask(f"Turn {turn}")
    shown = """(row) => row.querySelector("p").checkVisibility({contentVisibilityAuto: true})"""
    rows = tab.page.locator("[role=log] .bot-row")
    assert not rows.first.evaluate(shown)
    assert rows.last.evaluate(shown)
    # But they are there for who selects them, to copy.
    tab.page.evaluate("getSelection().selectAllChildren(document.querySelector('[role=log]'))")
    tab.page.wait_for_function(f"String(getSelection()).split('word').length > {60 * TURNS}")


def test_what_is_beside_the_side_bar_makes_room_for_it(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine()))
    room = "(page) => parseFloat(getComputedStyle(page).paddingLeft)"
    beside = tab.page.locator(".wrap.beside-bar")
    assert tab.page.locator(".sidebar-parent").count() == 0  # the rule with :has is for that
    tab.page.wait_for_function("document.querySelector('.beside-open-bar')")
    tab.page.wait_for_timeout(400)  # it moves there
    assert beside.evaluate(room) > 100
    tab.page.locator(".toggle-button").first.click()
    tab.page.wait_for_timeout(400)
    assert beside.evaluate(room) == 0
