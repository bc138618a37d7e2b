"""Where the parts of the page are, and what of it stays in sight."""

import re
from collections.abc import Iterator

import pytest

from tests.conftest import serving
from tests.support.fakes import ScriptedEngine, last_message
from tests.support.tab import PACE, Tab, Visit, expect

#: How far the end of the conversation is below what is seen of it, in pixels.
BELOW = """() => {
    const said = document.querySelector("#conversation");
    return Math.round(said.scrollHeight - said.clientHeight - said.scrollTop);
}"""
CODE = "```python\nprint(1)\n```"


def reply(prompt: str) -> str:
    said = last_message(prompt)
    return {"Code": CODE, "Slowly": "word\n\n" * 40}.get(said, "line\n\n" * 60)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as start:
        yield start(ScriptedEngine(reply, pace=PACE / 10))


def test_the_line_at_the_top_says_what_the_conversation_is_called(url: str, visit: Visit) -> None:
    tab = visit(url)
    heading = tab.page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Fourbit Chat")
    tab.ask("Code")
    expect(heading).to_have_text("Code")
    tab.new_chat()
    expect(heading).to_have_text("Fourbit Chat")


def test_what_is_changed_says_so_until_it_is_reset(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.button("Settings").click()
    marked = tab.page.locator("#drawer .changed")
    temperature = tab.page.locator("#setting-temperature")
    expect(marked).to_have_count(0)
    tab.setting("Temperature", "1.5")
    system = tab.page.get_by_label("System prompt", exact=True)
    system.fill("Rhyme.")
    expect(marked).to_have_count(2)
    expect(temperature).to_have_class(re.compile("changed"))
    tab.button("Reset").click()
    expect(marked).to_have_count(0)
    expect(tab.page.get_by_label("number input for Temperature")).to_have_value("0.6")
    expect(system).not_to_have_value("Rhyme.")


def test_the_end_stays_in_sight_unless_one_has_scrolled_away(url: str, visit: Visit) -> None:
    tab = visit(url)
    to_end = tab.button("To the end")
    tab.ask("At length")
    assert tab.page.evaluate(BELOW) <= 1
    expect(to_end).to_be_hidden()
    tab.page.locator("#conversation").hover()
    tab.page.mouse.wheel(0, -600)
    expect(to_end).to_be_visible()
    tab.send("Slowly")  # whoever sends something wants to see what becomes of it
    expect(to_end).to_be_hidden()
    expect(tab.replies.last).to_contain_text("word")
    tab.page.mouse.wheel(0, -600)
    expect(to_end).to_be_visible()
    top = tab.page.evaluate("document.querySelector('#conversation').scrollTop")
    tab.settled("Finished:")
    assert tab.page.evaluate("document.querySelector('#conversation').scrollTop") == top
    to_end.click()
    tab.page.wait_for_function(f"({BELOW})() <= 1")
    expect(to_end).to_be_hidden()


def test_who_goes_up_by_a_line_is_not_pulled_back(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("At length")
    tab.page.evaluate("document.querySelector('#conversation').scrollBy(0, -30)")
    expect(tab.button("To the end")).to_be_visible()


def test_by_keyboard_the_way_to_the_end_leads_to_the_box(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("At length")
    tab.page.evaluate("document.querySelector('#conversation').scrollBy(0, -300)")
    tab.button("To the end").focus()
    tab.page.keyboard.press("Enter")
    expect(tab.box).to_be_focused()
    assert tab.page.evaluate(BELOW) <= 1


def test_the_end_of_a_reply_leaves_what_is_selected_and_is_not_read_aloud_twice(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    tab.ask("At length")
    tab.send("Slowly")
    expect(tab.replies.last).to_contain_text("word")
    tab.replies.first.locator("p").last.evaluate("(one) => getSelection().selectAllChildren(one)")
    tab.settled("Finished:")
    tab.page.wait_for_timeout(200)  # in which the box takes the cursor where nothing is selected
    assert tab.page.evaluate("String(getSelection()).trim()") == "line"
    expect(tab.page.locator("#said [role=log]")).to_have_attribute("aria-live", "off")
    expect(tab.page.locator("#live [role=log]")).to_have_attribute("aria-live", "polite")


@pytest.mark.parametrize("height", [410, 300])
def test_in_a_low_window_the_beginning_is_seen_first_and_then_the_end(
    url: str, visit: Visit, height: int
) -> None:
    """As in a browser at a zoom of 200 %, where the examples have no room."""
    tab = visit(url)
    tab.page.set_viewport_size({"width": 550, "height": height})
    tab.page.reload()
    expect(tab.page.get_by_text("Say something.")).to_be_in_viewport()
    assert tab.page.evaluate(BELOW) > 1
    expect(tab.button("To the end")).to_be_hidden()
    tab.ask("At length")
    assert tab.page.evaluate(BELOW) <= 1
    expect(tab.button("To the end")).to_be_hidden()


def test_what_is_for_the_last_reply_is_not_there_while_another_is_written(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    tab.ask("Code")
    for name in ("Retry", "Undo"):
        expect(tab.button(name)).to_be_visible()
    tab.send("Slowly")
    expect(tab.replies.last).to_contain_text("word")
    for name in ("Retry", "Undo"):
        expect(tab.button(name)).to_be_hidden()
    expect(tab.page.locator("#said").get_by_role("button", name="Edit")).to_have_count(0)
    expect(tab.button("Copy message").last).to_be_visible()
    tab.settled("Finished:")
    for name in ("Retry", "Undo"):
        expect(tab.button(name)).to_be_visible()


def test_code_says_what_it_is_in_and_is_as_wide_as_the_reply(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("Code")
    block = tab.replies.locator(".code_wrap")
    shown = block.evaluate("(code) => getComputedStyle(code, '::before').content")
    assert shown == '"python"'
    wide = block.bounding_box()
    composer = tab.page.locator("#message").bounding_box()
    assert wide
    assert composer
    assert abs(wide["width"] - composer["width"]) < 8


@pytest.mark.parametrize("size", [(390, 780), (1100, 820), (1600, 900), (550, 410)])
def test_the_box_stays_in_the_window_and_takes_a_third_of_it(
    url: str, visit: Visit, size: tuple[int, int]
) -> None:
    width, height = size
    tab = visit(url)
    tab.page.set_viewport_size({"width": width, "height": height})
    tab.ask("At length")
    assert tab.page.evaluate("document.documentElement.scrollHeight") <= height
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.box.fill("line\n" * 40)
    box = tab.box.bounding_box()
    assert box
    assert box["height"] <= height / 3 + 1
    assert box["y"] + box["height"] <= height
    tab.box.fill("")


def test_what_settings_cover_cannot_be_reached_by_keyboard(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.page.set_viewport_size({"width": 390, "height": 780})
    tab.ask("Hi")
    tab.button("Settings").focus()
    tab.page.keyboard.press("Enter")
    tab.page.keyboard.press("Tab")
    inside = "() => Boolean(document.activeElement.closest('#drawer, #header'))"
    for _ in range(6):
        assert tab.page.evaluate(inside)
        tab.page.keyboard.press("Tab")
    tab.button("Reset").focus()
    tab.page.keyboard.press("Escape")
    expect(tab.button("Settings")).to_be_focused()
    tab.ask("Again")


def test_settings_reach_over_a_phone(url: str, visit: Visit) -> None:
    tab: Tab = visit(url)
    tab.page.set_viewport_size({"width": 390, "height": 780})
    tab.button("Settings").click()
    drawer = tab.page.locator("#drawer")
    tab.page.wait_for_function(
        "document.querySelector('#drawer').getBoundingClientRect().left === 0"
    )
    box = drawer.bounding_box()
    assert box
    assert box["width"] == 390
    tab.button("Settings").click()
    expect(tab.page.get_by_label("System prompt", exact=True)).to_be_hidden()
