"""The page for those who use a keyboard, a screen reader or a phone."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import PACE, Tab, Visit, echo, expect, slow_talk

CODE = "Here:\n\n```python\ndef add(a: int) -> int:\n    return a  # as it is\n```"
#: What Gradio's own components do, with the reason why it stays.
THEIRS = {
    "aria-required-children",  # examples are buttons in a list without items, and read out well
    "scrollable-region-focusable",  # the title's box could, by less than a line
    "color-contrast",  # of code: axe does not see the filter that mends it
}


def focused(tab: Tab) -> str:
    return tab.page.evaluate(
        "() => { const e = document.activeElement; return e.placeholder || e.ariaLabel"
        " || e.innerText.split('\\n')[0] }"
    )


def test_a_chat_needs_no_mouse(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, pace=PACE)
    tab = visit(serve(engine))
    expect(tab.box).to_be_focused()
    keys = tab.page.keyboard
    keys.type("One")
    keys.press("Shift+Enter")
    keys.type("two")
    assert engine.prompts == []
    keys.press("Enter")
    tab.settled("Finished:")
    assert "user: One\ntwo\0" in engine.prompts[0]
    expect(tab.box).to_be_focused()
    keys.type("Talk")
    keys.press("Enter")
    expect(tab.replies.last).to_contain_text("word0")
    keys.press("Tab")
    assert focused(tab) == "Stop"
    keys.press("Enter")
    tab.settled("Stopped:")


def test_tab_goes_through_the_page_in_its_order_and_can_be_seen(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("Hi")
    tab.box.focus()
    # Around the whole of the text box, in which the button is.
    outline = """() => {
        const focused = document.activeElement;
        return getComputedStyle(focused.closest("#message") || focused).outline;
    }"""
    for name in ("Type a message…", "Send", "Attach files"):
        assert focused(tab) == name
        assert "solid 2px" in tab.page.evaluate(outline)
        tab.page.keyboard.press("Tab")
    tab.box.focus()
    back = []
    for _ in range(10):
        tab.page.keyboard.press("Shift+Tab")
        back.append(focused(tab))
    ours = ["Delete message", "Branch into a new conversation"]
    theirs = ["Undo", "Retry", "Copy message"]
    assert back == [
        *("How this reply was made", *ours, *theirs),
        *(*ours, "Edit", "Copy message"),
    ]


def test_the_settings_open_and_close_by_keyboard_and_give_the_cursor_back(
    serve: Serve, visit: Visit
) -> None:
    tab = visit(serve(ScriptedEngine(echo)))
    expect(tab.page.get_by_label("System prompt", exact=True)).to_be_hidden()
    button = tab.button("Settings")
    button.focus()
    tab.page.keyboard.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    system = tab.page.get_by_label("System prompt", exact=True)
    expect(system).to_be_visible()
    system.focus()
    tab.page.keyboard.press("Escape")
    expect(system).to_be_hidden()
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_screen_reader_finds_a_name_for_everything_and_an_eye_the_contrast(
    serve: Serve, visit: Visit, scheme: str
) -> None:
    tab = visit(serve(ScriptedEngine(lambda prompt: CODE)))
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.reload()
    expect(tab.box).to_be_focused()
    faults = Axe().run(tab.page).response["violations"]
    tab.ask("Hi")
    for name in ("Settings", "More", "Prompt"):
        tab.page.get_by_role("button", name=name).click()
    expect(tab.page.get_by_label("Stop strings")).to_be_visible()
    faults += Axe().run(tab.page).response["violations"]
    found = {(fault["id"], node["html"]) for fault in faults for node in fault["nodes"]}
    assert {(id, html) for id, html in found if id not in THEIRS} == set()
    assert {html for id, html in found if id == "color-contrast" and "token" not in html} == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_everything_without_scrolling_sideways(
    serve: Serve, visit: Visit, scheme: str
) -> None:
    long = "a" * 300
    tab = visit(serve(ScriptedEngine(lambda prompt: f"{CODE}\n\n{long}")))
    tab.page.set_viewport_size({"width": 390, "height": 800})
    tab.page.emulate_media(color_scheme=scheme)
    tab.page.reload()
    tab.ask(long)
    tab.page.get_by_role("button", name="Settings").click()
    expect(tab.page.get_by_label("System prompt", exact=True)).to_be_visible()
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    for part in (tab.box, tab.send_button, tab.replies, tab.status):
        box = part.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
    dark = "() => getComputedStyle(document.body).backgroundColor"
    assert (tab.page.evaluate(dark) == "rgb(255, 255, 255)") == (scheme == "light")
