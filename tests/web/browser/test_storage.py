"""Saved conversations in a browser that is full, keeps nothing, or is a phone."""

import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.panel import EXPORTED, choose, kept, listed, open_one, told, wait_for_saving
from tests.support.tab import (
    Browser,
    BrowserContext,
    Tab,
    Visit,
    echo,
    expect,
)

AsWith = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all that need no other."""
    with serving() as serve:
        yield serve(ScriptedEngine(echo))


def test_a_full_storage_loses_nothing_on_the_screen(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask("One")
    wait_for_saving(tab)
    tab.page.evaluate(FILL)
    before = kept(tab)
    two = f"Two {string.ascii_letters}"  # more than what is sealed is filled up with
    tab.ask(two)
    wait_for_saving(tab)  # in vain, but not later when there is room
    expect(tab.page.locator("#saying")).to_contain_text("storage for this page is full")
    tab.says("One", "Re: One", two, f"Re: {two}")
    listed(tab, "One")
    tab.page.evaluate("() => { delete localStorage.spare }")
    noise = "".join(random.Random(0).choices(string.ascii_letters, k=9000))
    messages = [{"messages": [{"role": "user", "content": text}]} for text in ("Short", noise)]
    tab.button("Close").click()
    choose(tab, json.dumps({**EXPORTED, "conversations": messages}).encode())
    told(
        tab,
        "Nothing was imported, since the browser's storage for this page is full: "
        "there is room for 1 of these 2 conversations.",
    )
    assert kept(tab) == {key: before[key] for key in before if key != "spare"}
    tab.page.evaluate("() => { delete localStorage.filled }")
    tab.ask("Three")
    wait_for_saving(tab)
    tab.page.reload()
    tab.says("One", "Re: One", two, f"Re: {two}", "Three", "Re: Three")


def test_what_had_no_room_is_saved_once_another_one_is_deleted(url: str, visit: Visit) -> None:
    tab = visit(url)
    tab.ask(f"Old {''.join(random.Random(0).choices(string.ascii_letters, k=400))}")
    wait_for_saving(tab)
    tab.new_chat()
    tab.page.evaluate(FILL)
    tab.page.evaluate(
        "() => { delete localStorage.spare; localStorage.filled += 'x'.repeat(5000) }"
    )
    tab.ask("New")
    expect(tab.page.locator("#saying")).to_contain_text("storage for this page is full")
    tab.page.locator("#panel li > button").click()
    expect(tab.messages).to_contain_text("Old")
    tab.button("Delete").click()
    listed(tab, "New")
    tab.button("Restore").click()  # for which there is no room now
    expect(tab.page.locator("#saying")).to_contain_text("storage for this page is full")
    tab.page.evaluate("() => { delete localStorage.filled }")
    tab.button("Restore").click()
    expect(tab.page.locator("#panel li > button")).to_have_count(2)
    open_one(tab, "New")
    tab.says("New", "Re: New")


#: Room for a short conversation is left when the spare is deleted.
FILL = """() => {
    localStorage.spare = "x".repeat(5000);
    let filled = "";
    for (let size = 2 ** 23; size >= 1; size /= 2)
        try { localStorage.filled = filled + "x".repeat(size); filled = localStorage.filled }
        catch { }
}"""


@pytest.fixture
def as_with(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Make browsers that differ from the others."""
    made = []

    def make(**options: Any) -> BrowserContext:
        made.append(browser.new_context(**options))
        return made[-1]

    yield make
    for context in made:
        context.close()


def test_a_browser_that_keeps_nothing_chats_all_the_same(url: str, as_with: AsWith) -> None:
    context, errors = as_with(), []
    context.on("weberror", lambda error: errors.append(error))
    for kind in ("localStorage", "sessionStorage"):
        context.add_init_script(
            f"Object.defineProperty(window, '{kind}', {{get() {{ throw new Error('denied') }}}})"
        )
    tab = Tab(context, url)
    tab.ask("One")
    listed(tab, "One")
    expect(tab.page.locator("#panel .hint")).to_contain_text("lets the page save nothing")
    tab.new_chat()
    tab.ask("Two")
    open_one(tab, "One")
    tab.says("One", "Re: One")
    assert errors == []


# On a phone, and by keyboard


def test_on_a_phone_the_panel_is_out_of_the_way(url: str, as_with: AsWith) -> None:
    phone = as_with(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(phone, url)
    say(tab, "Hi")
    expect(tab.button("New chat")).to_be_hidden()
    tab.button("Conversations").click()
    tab.new_chat()
    expect(tab.button("New chat")).to_be_hidden()
    tab.says()
    say(tab, "Next")
    assert tab.page.evaluate("document.documentElement.scrollWidth") == 390


def say(tab: Tab, text: str) -> None:
    """Send a message with the button."""
    tab.box.fill(text)
    tab.send_button.click()
    tab.says(text, f"Re: {text}")
    tab.settled("Finished:")


@pytest.mark.parametrize("way", ["newline", "send"])
def test_on_a_touch_screen_enter_is_a_new_line_unless_the_host_wants_it_otherwise(
    serve: Serve, as_with: AsWith, way: str
) -> None:
    phone = as_with(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab = Tab(phone, serve(ScriptedEngine(echo), touch_enter=way))
    tab.send("One")
    if way == "newline":
        tab.box.press_sequentially("Two")
        expect(tab.box).to_have_value("One\nTwo")
        tab.says()
    else:
        tab.says("One", "Re: One")


def test_all_of_it_can_be_done_from_the_keyboard(url: str, visit: Visit) -> None:
    tab = visit(url)
    for message in ("One", "Two"):
        tab.ask(message)
        tab.button("New chat").press("Enter")
        tab.says()
    expect(tab.box).to_be_focused()
    tab.button("New chat").focus()
    keyboard = tab.page.keyboard
    for _ in range(3):  # past the search box, and the latest one
        keyboard.press("Tab")
    keyboard.press("Enter")
    tab.says("One", "Re: One")
    expect(tab.page.locator(":focus")).to_have_text("One")
    keyboard.press("Tab")
    keyboard.press("Enter")
    keyboard.type("Uno")
    keyboard.press("Enter")
    listed(tab, "Two", "Uno")
    expect(tab.page.locator(":focus")).to_have_text("Uno")
    keyboard.press("Tab")
    keyboard.press("Enter")
    keyboard.type("Eins")
    keyboard.press("Escape")
    listed(tab, "Two", "Uno")
