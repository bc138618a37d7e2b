"""What is late, or saved by another tab, never lands in another conversation."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat.web.page.page import Page
from chat.web.page.panel.saved import SavedConversations
from chat.web.page.turn import Turn
from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.late import Late
from tests.support.panel import exported, listed, open_one, told, wait_for_saving
from tests.support.tab import (
    PACE,
    Route,
    Tab,
    Visit,
    echo,
    expect,
    idle_within,
    slow_talk,
)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all that need no other."""
    with serving() as serve:
        yield serve(ScriptedEngine(echo))


def test_two_tabs_do_not_overwrite_each_others(url: str, visit: Visit) -> None:
    first = visit(url)
    second = Tab(first.page.context, url)
    first.ask("From the first")
    second.ask("From the second")
    listed(first, "From the second", "From the first")
    open_one(second, "From the first")
    first.button("Rename").click()
    first.page.get_by_label("Title").fill("Shared")
    first.page.keyboard.press("Enter")
    listed(second, "From the second", "Shared")
    second.button("Rename").click()
    second.page.get_by_label("Title").fill("Half a ti")
    first.ask("First goes on")
    expect(second.page.get_by_label("Title")).to_have_value("Half a ti")
    second.page.keyboard.press("Escape")
    wait_for_saving(first)
    second.ask("Second goes on")
    second.says("From the first", "Re: From the first", "Second goes on", "Re: Second goes on")
    listed(first, "Shared", "Shared", "From the second")
    contents = [
        [entry["content"] for entry in one["messages"]][2:]
        for one in exported(second, "Export all")["conversations"]
    ]
    assert contents == [
        ["Second goes on", "Re: Second goes on"],
        ["First goes on", "Re: First goes on"],
        [],
    ]


def test_what_opens_late_does_not_take_the_place_of_what_was_asked_for_after_it(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    for said in ("One", "Two"):
        tab.ask(said)
        wait_for_saving(tab)
        tab.new_chat()
    held: list[Route] = []
    tab.page.route("**/saved_open", lambda route: held.append(route), times=1)
    with tab.page.expect_request("**/saved_open"):
        tab.page.locator("#panel li").get_by_role("button", name="One", exact=True).click()
    open_one(tab, "Two")
    tab.says("Two", "Re: Two")
    with tab.page.expect_response("**/saved_open"):
        held[0].continue_()
    tab.ask("Three")
    tab.says("Two", "Re: Two", "Three", "Re: Three")


def test_the_same_words_saved_by_another_tab_at_the_same_moment_are_no_others(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    tab.ask("Hi")
    wait_for_saving(tab)
    tab.page.evaluate(AS_ANOTHER)
    tab.ask("Next")
    wait_for_saving(tab)
    listed(tab, "Hi")
    tab.page.reload()
    tab.says("Hi", "Re: Hi", "Next", "Re: Next")


#: A tab that has not heard yet of what this one wrote has written the same over it.
AS_ANOTHER = """() => {
    const item = Object.keys(localStorage).find((item) => item.endsWith(":text"));
    localStorage[item] = localStorage[item].replace(/^./, "2");
}"""


def test_a_reply_never_lands_in_another_conversation(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(slow_talk, PACE)))
    tab.ask("Hi")
    tab.new_chat()
    tab.send("Talk")
    for leave in ("Hi", "New chat", "Delete"):
        tab.button(leave).click()
        told(tab, "A reply is being written. Stop it first, or wait for it.")
    expect(tab.replies).to_contain_text("word1")
    tab.stop_button.click()
    expect(tab.send_button).to_be_visible()
    open_one(tab, "Hi")  # at once
    tab.says("Hi", "Yes.")
    expect(tab.status).to_have_text("")
    tab.ask("Next")
    tab.says("Hi", "Yes.", "Next", "Yes.")
    open_one(tab, "Talk")
    tab.says("Talk", re.compile("word0 word1"))  # type: ignore[arg-type]
    listed(tab, "Hi", "Talk")


def test_what_has_come_of_a_reply_is_there_again_if_all_was_cleared_by_mistake(
    serve: Serve, visit: Visit
) -> None:
    tab = visit(serve(ScriptedEngine(slow_talk, PACE)))
    tab.ask("Hi")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    tab.button("Clear").click()
    tab.says()
    tab.button("Restore").click()
    expect(tab.messages).to_have_text(["Hi", "Talk"])
    expect(tab.replies.last).to_contain_text("word1")
    tab.ask("Hi")


@pytest.mark.parametrize("event", ["_settle", "_undo"])
def test_what_is_late_does_not_land_in_another_conversation(
    event: str, serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = Late(monkeypatch, Page, event)
    tab = visit(serve(ScriptedEngine(slow_talk, PACE)))
    tab.ask("Hi")
    tab.new_chat()
    tab.ask("First")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    if event == "_undo":
        tab.stop_button.click()
        tab.settled("Stopped: ")
    late.seconds = 0.5
    with tab.page.expect_request("**/run/predict"):
        (tab.stop_button if event == "_settle" else tab.button("Undo").last).click()
    open_one(tab, "Hi")
    tab.says("Hi", "Yes.")
    listed(tab, "First", "Hi")
    saved = exported(tab, "Export all")["conversations"]
    first, hi = [[entry["content"] for entry in one["messages"]] for one in saved]
    assert hi == ["Hi", "Yes."]
    assert first[:2] == ["First", "Yes."]
    assert len(first) == (4 if event == "_settle" else 2)


def test_what_is_cleared_as_a_reply_ends_is_restored_with_it(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle = Late(monkeypatch, Page, "_settle")
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("Hi")
    wait_for_saving(tab)
    settle.seconds = 1.5
    with tab.page.expect_request("**/run/predict", timeout=10_000):
        tab.send("More")
        expect(tab.replies.last).to_have_text("Re: More")
    tab.button("Clear").click()
    expect(tab.replies).to_have_count(0)
    tab.button("Restore").click()
    tab.says("Hi", "Re: Hi", "More", "Re: More")
    tab.new_chat()
    listed(tab, "Hi")


async def not_heard(page: Page, turn: Turn | None) -> None:
    """Stand for a Stop that did not get to the server."""


def test_a_reply_that_did_not_stop_does_not_either(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio cannot stop what the server has not confirmed yet, and lets it go on unseen."""
    monkeypatch.setattr(Page, "_stop", not_heard)
    reply = " ".join(f"word{number}" for number in range(30))
    engine = ScriptedEngine(lambda _: reply, 0.001)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.new_chat()
    tab.page.evaluate(LATE_CONFIRMATION)
    engine.pace = 0.05
    tab.send("Talk")
    tab.stop_button.click()
    open_one(tab, "Hi")
    engine.pace = 0.001
    tab.settled("Finished:")
    contents = {
        one["title"]: [entry["content"] for entry in one["messages"]]
        for one in exported(tab, "Export all")["conversations"]
    }
    assert contents == {"Hi": ["Hi", reply], "Talk": ["Talk", reply]}


def test_a_reply_that_did_not_stop_is_none_to_the_next_message(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Page, "_stop", not_heard)
    engine = ScriptedEngine(lambda prompt: slow_talk(prompt)[:60], PACE)
    engine.parallel = 2
    tab = visit(serve(engine))
    tab.page.evaluate(LATE_CONFIRMATION)
    tab.send("Talk")
    tab.stop_button.click()
    expect(tab.box).to_be_editable()
    tab.send("Hi")
    expect(tab.messages).to_have_text("Hi")
    assert idle_within(10, engine)
    tab.says("Hi", "Yes.")
    tab.settled("Finished: 4 tokens")


def test_the_end_of_a_turn_that_comes_late_is_not_that_of_the_next(url: str, visit: Visit) -> None:
    """Gradio may tell of it twice after Stop; no server is so slow here that it does."""
    tab = visit(url)
    assert tab.page.evaluate(ENDS) == ["of the first", "late", "of the second", "of the third"]


ENDS = """() => {
    const page = window.conversations;
    const end = (how, token) => page.settle(how, [], [], "", token)[3];
    page.begin();
    page.stop();
    const found = [end("success", "of the first")];
    page.begin();  // before the failure, which is late then
    found.push(end("failure", "of the second"));
    page.stop();
    found.push(end("failure", "of the second"));
    page.begin();
    found.push(end("failure", "of the third"));  // by itself
    return found;
}"""
LATE_CONFIRMATION = """() => {
    const fetched = window.fetch;
    window.fetch = async (url, ...options) => {
        const response = await fetched(url, ...options);
        if (String(url).includes("queue/join")) await new Promise((go) => setTimeout(go, 1500));
        return response;
    };
}"""


def test_what_is_exported_or_deleted_while_it_is_saved_is_so_to_the_last_word(
    serve: Serve, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Late(monkeypatch, SavedConversations, "seal")
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("One")
    listed(tab, "One")
    seal.seconds = 0.5
    tab.ask("Two")
    (saved,) = exported(tab, "Export all")["conversations"]
    assert saved["messages"][-1]["content"] == "Re: Two"
    with tab.page.expect_download() as download:
        tab.page.evaluate(EXPORT_BEFORE_IT_CHANGED)
    (saved,) = json.loads(Path(download.value.path()).read_text("utf-8"))["conversations"]
    assert [entry["content"] for entry in saved["messages"]] == ["Asked", "Answered"]
    tab.page.evaluate(TAKEN_BACK)
    (saved,) = exported(tab, "Export all")["conversations"]
    assert [entry["content"] for entry in saved["messages"]] == ["Asked", "Answered"]
    tab.ask("Three")
    tab.button("Clear").click()
    tab.ask("Four")
    listed(tab, "Four")


#: What was asked last is taken back while it is being saved.
TAKEN_BACK = """async () => {
    const said = [{role: "user", content: "Asked"}, {role: "assistant", content: "Answered"}];
    const page = window.conversations;
    page.begin();
    const first = page.begun([...said, {role: "user", content: "More"}]);
    page.settle("success");
    await page.changed(said);
    await first;
}"""
#: The question is still being saved when the reply to it comes to the screen.
EXPORT_BEFORE_IT_CHANGED = """() => {
    const asked = [{role: "user", content: "Asked"}];
    const page = window.conversations;
    page.begin();
    page.begun(asked);
    page.settle();
    document.querySelector("#panel [value=export]").click();
    setTimeout(() => page.changed([...asked, {role: "assistant", content: "Answered"}]), 100);
}"""
