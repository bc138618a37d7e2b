"""A long conversation stays quick: what has not changed is not styled or laid out anew."""

import pytest

from chat.web.page.page import Page
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.late import Late
from tests.support.tab import PACE, Visit, expect

TURNS = 3
#: Notes what is set of attributes in the conversation, and what is inserted there.
NOTING = """() => {
    const log = document.querySelector("[role=log]");
    window.directions = 0;
    new MutationObserver((changes) => window.directions += changes.length)
        .observe(log, {subtree: true, attributeFilter: ["dir"]});
}"""
#: What is there and not drawn yet.
HIDDEN = "#said [style*=hidden]"
#: Notes how much of that there is at most, and how high the conversation is meanwhile.
ENDING = f"""() => {{
    window.most = 0;
    window.heights = [];
    const said = document.querySelector("#conversation");
    new MutationObserver(() => {{
        const hidden = document.querySelectorAll("{HIDDEN}").length;
        window.most = Math.max(window.most, hidden);
        if (hidden) window.heights.push(said.scrollHeight);
    }}).observe(said, {{subtree: true, attributeFilter: ["style"]}});
}}"""
#: Counts the changes of what was said before.
WATCHING = """() => {
    window.changes = 0;
    new MutationObserver((changes) => window.changes += changes.length)
        .observe(document.querySelector("#said [role=log]"), {subtree: true, childList: true});
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


def test_a_long_reply_that_ends_is_drawn_block_by_block_and_moves_nothing(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In that time all of it has been on the screen, on a busy machine too.
    Late(monkeypatch, Page, "_settle").seconds = 0.5
    tab = visit(serve(ScriptedEngine(lambda _: "word\n\n" * 60)))
    tab.page.evaluate(ENDING)
    tab.ask("Begin")
    tab.page.wait_for_function(f"!document.querySelector('{HIDDEN}')")
    most, heights = tab.page.evaluate("[window.most, window.heights]")
    assert most > 30
    assert max(heights) - min(heights) < 40  # the line of buttons below it
    assert tab.page.locator("#said .bot-row p").count() == 60


def test_what_was_said_before_is_left_alone_while_a_reply_grows(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(lambda _: "One word after another.", pace=PACE)))
    tab.ask("Begin")
    tab.page.evaluate(WATCHING)
    tab.send("Go on")
    expect(tab.page.locator("#live").get_by_test_id("bot")).to_contain_text("word after")
    assert tab.page.evaluate("window.changes") == 0
    tab.settled("Finished:")
    tab.says("Begin", "One word after another.", "Go on", "One word after another.")
    assert tab.page.evaluate("window.changes") > 0
    expect(tab.page.locator("#live").get_by_test_id("bot")).to_have_count(0)


def test_what_is_beside_the_side_bar_makes_room_for_it(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine()))
    tab.page.wait_for_function("document.querySelector('.sidebar.open')")
    assert tab.page.locator(".sidebar-parent").count() == 0  # the rule with :has is for that
    start = "() => document.querySelector('#composer').getBoundingClientRect().left"
    tab.page.wait_for_function(f"({start})() > 320")
    tab.button("Conversations").click()
    tab.page.wait_for_function(f"({start})() < 320")
