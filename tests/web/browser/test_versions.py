"""Several versions of a message or of a reply, as a person sees them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route

from tests.conftest import DATA, Serve, serving
from tests.support.fakes import ScriptedEngine, last_message
from tests.support.tab import AGES, PACE, TALK, Tab, Visit, expect
from tests.support.waiting import until


class Numbered(ScriptedEngine):
    """Says something else each time."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda prompt: f"{last_message(prompt)} {len(self.prompts)}", **options)


@pytest.fixture
def engine() -> Numbered:
    return Numbered()


@pytest.fixture
def tab(engine: Numbered, serve: Serve, visit: Visit) -> Tab:
    """Somebody who has asked something, with an answer."""
    tab = visit(serve(engine))
    tab.ask("A")
    return tab


def retry(tab: Tab, engine: Numbered, says: str) -> None:
    asked = len(engine.prompts)
    tab.button("Retry").click()
    until(lambda: len(engine.prompts) > asked)  # what was there before may say the same
    expect(tab.replies.last).to_have_text(says)
    tab.settled("Finished:")


def places(tab: Tab, *places: str) -> None:
    """Wait until messages say that they are these of so many."""
    expect(tab.page.locator(".tools span")).to_have_text(list(places))


def export(tab: Tab) -> Any:
    """Return what is exported of the conversation, once all of it is saved."""
    with tab.page.expect_download() as download:
        tab.button("Export all").click()
    return json.loads(Path(download.value.path()).read_text("utf-8"))


def test_a_reply_that_is_written_anew_stays_with_what_came_after_it(
    tab: Tab, engine: Numbered
) -> None:
    tab.ask("B")
    retry(tab, engine, "B 3")
    places(tab, "2 of 2")
    tab.ask("C")
    tab.button("Previous version").click()
    tab.says("A", "A 1", "B", "B 2")
    places(tab, "1 of 2")
    tab.ask("D")
    assert "B 2\0user: D" in engine.prompts[-1]  # the prompt is what is on the screen
    assert "B 3" not in engine.prompts[-1]
    tab.button("Next version").click()
    tab.says("A", "A 1", "B", "B 3", "C", "C 4")
    retry(tab, engine, "C 6")
    tab.button("Previous version").first.click()
    tab.says("A", "A 1", "B", "B 2", "D", "D 5")
    tab.button("Next version").click()
    tab.says("A", "A 1", "B", "B 3", "C", "C 6")
    places(tab, "2 of 2", "2 of 2")


def test_an_edited_message_stays_with_all_that_followed(tab: Tab, engine: Numbered) -> None:
    tab.ask("B")
    retry(tab, engine, "B 3")
    tab.edit(0, "Z")
    tab.says("Z", "Z 4")
    tab.settled("Finished:")
    places(tab, "2 of 2")
    tab.edit(0, "Y")
    tab.says("Y", "Y 5")
    tab.settled("Finished:")
    places(tab, "3 of 3")
    for _ in range(2):
        tab.button("Previous version").first.click()
    tab.says("A", "A 1", "B", "B 3")
    places(tab, "1 of 3", "2 of 2")
    expect(tab.button("Previous version").first).to_be_disabled()


def test_versions_last(tab: Tab, engine: Numbered, visit: Visit) -> None:
    retry(tab, engine, "A 2")
    tab.ask("B")
    tab.edit(1, "C")
    tab.says("A", "A 2", "C", "C 4")
    tab.settled("Finished:")
    exported = export(tab)
    tab.page.reload()
    tab.says("A", "A 2", "C", "C 4")
    places(tab, "2 of 2", "2 of 2")
    tab.button("Previous version").first.click()
    tab.says("A", "A 1")
    export(tab)  # it is saved
    tab.page.reload()
    tab.says("A", "A 1")
    # And they go with a file.
    file = Path(DATA.name) / "versions.json"
    file.write_text(json.dumps(exported))
    other = visit(tab.page.url)
    other.page.locator("#panel input[type=file]").set_input_files(file)
    other.button("Open").click()
    other.says("A", "A 2", "C", "C 4")
    other.button("Previous version").nth(1).click()
    other.says("A", "A 2", "B", "B 3")
    again, there = export(other)["conversations"][0], exported["conversations"][0]
    assert [fork["at"] for fork in again["versions"]] == [1, 2]
    assert again["versions"][0] == there["versions"][0]


def test_only_what_differs_is_a_version(tab: Tab, engine: Numbered) -> None:
    engine.script = lambda _: "A 1"
    retry(tab, engine, "A 1")
    places(tab)
    engine.script, engine.pace = lambda _: TALK, PACE
    tab.send("Talk")
    expect(tab.replies).to_have_count(2)
    expect(tab.replies.last).to_contain_text("word1")
    tab.stop_button.click()
    tab.settled("Stopped")
    expect(tab.replies.last).to_contain_text("word1")
    engine.script, engine.pace = lambda _: " And so on.", 0
    tab.button("Continue").click()
    expect(tab.replies.last).to_have_text(re.compile(r"word1.*And so on\.\s*$"))
    tab.settled("Finished:")
    places(tab)
    said = tab.replies.last.inner_text().strip()
    engine.reading = AGES
    tab.button("Retry").click()
    expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    tab.says("A", "A 1", "Talk", said)
    tab.edit(0, "Z")
    expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    tab.says("A", "A 1", "Talk", said)
    expect(tab.box).to_have_value("Z")
    places(tab)
    engine.reading = 0
    tab.button("Undo").click()
    tab.says("A", "A 1")
    engine.script = lambda _: "B."
    tab.ask("B")
    places(tab)


def test_undo_after_an_edit_takes_back_what_was_edited(tab: Tab, engine: Numbered) -> None:
    tab.ask("B")
    tab.edit(0, "Z")
    tab.says("Z", "Z 3")
    tab.settled("Finished:")
    tab.button("Undo").click()
    expect(tab.box).to_have_value("Z")
    tab.says("A", "A 1", "B", "B 2")
    places(tab)
    export(tab)
    tab.page.reload()
    tab.says("A", "A 1", "B", "B 2")
    expect(tab.box).to_have_value("Z")  # what was typed is there too
    tab.box.fill("")


def test_what_somebody_types_stays_while_another_reply_is_written(
    tab: Tab, engine: Numbered
) -> None:
    tab.box.fill("A draft")
    retry(tab, engine, "A 2")
    expect(tab.box).to_have_value("A draft")
    tab.page.reload()
    expect(tab.box).to_have_value("A draft")


def test_a_draft_and_a_message_that_comes_back_are_both_there(tab: Tab, engine: Numbered) -> None:
    tab.box.fill("A draft")
    engine.reading = AGES
    tab.edit(0, "Z")
    expect(tab.status).to_contain_text("Reading")
    tab.stop_button.click()
    tab.settled("Stopped before the first word")
    expect(tab.box).to_have_value("A draft\n\nZ")
    tab.says("A", "A 1")


def test_who_types_keeps_the_cursor_when_a_message_was_deleted(tab: Tab, engine: Numbered) -> None:
    tab.button("Delete message").last.click()
    tab.says("A")
    tab.ask("B")
    expect(tab.box).to_be_focused()


def test_versions_below_a_deleted_reply_stay(tab: Tab, engine: Numbered) -> None:
    tab.ask("B")
    tab.edit(1, "C")
    tab.says("A", "A 1", "C", "C 3")
    tab.settled("Finished:")
    tab.button("Delete message").nth(1).click()
    tab.says("A C", "C 3")
    tab.button("Previous version").click()
    tab.says("A B", "B 2")
    tab.page.reload()
    tab.says("A B", "B 2")
    places(tab, "1 of 2")


def test_versions_of_a_message_and_of_the_one_before_it_stay_when_what_is_between_goes(
    tab: Tab,
) -> None:
    tab.edit(0, "Z")
    tab.says("Z", "Z 2")
    tab.settled("Finished:")
    tab.ask("B")
    tab.edit(1, "C")
    tab.says("Z", "Z 2", "C", "C 4")
    tab.settled("Finished:")
    tab.button("Delete message").nth(1).click()
    tab.says("Z C", "C 4")
    places(tab, "2 of 3")
    tab.button("Next version").click()
    tab.says("Z B", "B 3")
    for _ in range(2):
        tab.button("Previous version").click()
    tab.says("A", "A 1")


def test_a_server_that_cannot_be_reached_costs_no_version(tab: Tab, engine: Numbered) -> None:
    retry(tab, engine, "A 2")
    failed = []

    def fail(route: Route) -> None:
        failed.append(route)
        route.fulfill(status=502, body="Bad gateway")

    tab.page.route("**/saved_seal", fail, times=2)
    tab.ask("B")
    expect(tab.page.locator("#saying span").first).to_have_text(
        "This is not saved yet, since the server cannot be reached. It is tried again."
    )
    expect(tab.page.locator("#saying span")).to_have_count(0)  # it was
    assert len(failed) == 2
    [saved] = export(tab)["conversations"]
    assert [one["content"] for one in saved["messages"]] == ["A", "A 2", "B", "B 3"]
    assert len(saved["versions"]) == 1


@pytest.mark.parametrize("button", ["Previous version", "Delete message"])
def test_two_quick_clicks_are_one_and_leave_all_in_order(
    button: str, tab: Tab, engine: Numbered
) -> None:
    for number in (2, 3):
        retry(tab, engine, f"A {number}")
    tab.ask("B")
    one = tab.button(button).nth(0 if button == "Previous version" else 3)
    one.evaluate("(button) => (button.click(), button.click())")
    tab.says(*(["A", "A 2"] if button == "Previous version" else ["A", "A 3", "B"]))
    tab.new_chat()  # which waits for what is under way
    tab.page.locator("#panel li").get_by_role("button", name="A", exact=True).click()
    tab.says(*(["A", "A 2"] if button == "Previous version" else ["A", "A 3", "B"]))


def test_a_reply_comes_back_if_the_one_in_its_place_never_comes(visit: Visit) -> None:
    engine = Numbered()
    with serving() as serve:
        tab = visit(url := serve(engine))
        tab.ask("A")
        engine.reading = AGES
        with tab.page.expect_response("**/saved_seal"):  # with no reply at all
            tab.button("Retry").click()
    port = int(url.strip("/").rpartition(":")[2])
    with serving() as serve:
        serve(Numbered(), server_port=port)
        tab.page.goto(url)
        tab.says("A", "A 1")
        places(tab)
        tab.ask("B")


def test_a_message_can_be_deleted_and_restored(tab: Tab, engine: Numbered) -> None:
    tab.ask("B")
    retry(tab, engine, "B 3")
    tab.button("Delete message").nth(1).click()
    tab.says("A B", "B 3")
    tab.ask("C")
    assert "user: A\n\nB\0assistant: B 3\0user: C" in engine.prompts[-1]
    tab.says("A B", "B 3", "C", "C 4")
    places(tab, "2 of 2")
    tab.button("Delete message").nth(1).click()  # the version, and all below it
    tab.says("A B", "B 2")
    places(tab)
    tab.button("Restore").click()
    tab.says("A B", "B 3", "C", "C 4")
    places(tab, "2 of 2")
    tab.button("Delete message").last.click()
    tab.says("A B", "B 3", "C")
    tab.new_chat()
    tab.button("Restore").click()
    tab.says("A B", "B 3", "C", "C 4")
    export(tab)
    tab.page.reload()
    tab.says("A B", "B 3", "C", "C 4")
    places(tab, "2 of 2")


def test_deleting_all_that_was_said_leaves_nothing(tab: Tab) -> None:
    tab.button("Delete message").last.click()
    tab.says("A")
    tab.button("Delete message").click()
    tab.says()
    expect(tab.page.locator("#panel li")).to_have_count(0)
    tab.button("Restore").click()
    tab.says("A")
    expect(tab.page.locator("#panel li")).to_have_count(1)


def test_a_message_is_the_end_of_a_branch_with_its_own_name(tab: Tab, engine: Numbered) -> None:
    tab.ask("B")
    tab.button("Branch into a new conversation").nth(1).click()
    tab.says("A", "A 1")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("A (branch)")
    tab.ask("C")
    assert "A 1\0user: C" in engine.prompts[-1]
    assert "B" not in engine.prompts[-1]
    tab.page.locator("#panel li").get_by_role("button", name="A", exact=True).click()
    tab.says("A", "A 1", "B", "B 2")
    tab.page.reload()
    tab.says("A", "A 1", "B", "B 2")


def test_nothing_is_changed_while_a_reply_is_written(tab: Tab, engine: Numbered) -> None:
    retry(tab, engine, "A 2")
    engine.script, engine.pace = lambda _: TALK, PACE
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word1")
    for button in ("Previous version", "Delete message", "Branch into a new conversation"):
        tab.button(button).first.click()
        expect(tab.page.locator("#saying span")).to_have_text(
            "A reply is being written. Stop it first, or wait for it."
        )
        tab.button("Close").click()
    expect(tab.replies.first).to_have_text("A 2")
    tab.stop_button.click()
    tab.settled("Stopped")


def test_who_goes_through_versions_by_keyboard_stays_there(tab: Tab, engine: Numbered) -> None:
    for number in (2, 3):
        retry(tab, engine, f"A {number}")
    tab.button("Previous version").focus()
    for number, button in ((2, "Previous version"), (1, "Next version"), (2, "Next version")):
        tab.page.keyboard.press("Enter")
        tab.says("A", f"A {number}")
        expect(tab.button(button)).to_be_focused()
