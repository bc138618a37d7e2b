"""Finding saved conversations again, and putting one on paper, as a person sees it."""

import json
import random
import string
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATA, serving
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Browser, Locator, Request, Tab, Visit, echo, expect


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One server for all."""
    with serving() as serve:
        yield serve(ScriptedEngine(echo))


#: What the clocks of these browsers say.
NOW = datetime.fromisoformat("2026-11-20T12:00:00+00:00")


def talk(title: str, reply: str = "Yes.", days: int = 0) -> dict[str, Any]:
    messages = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": reply}]
    return {
        "title": title,
        "saved": (NOW - timedelta(days)).isoformat(),
        "messages": [{"role": "system", "content": "Obey."}, *messages],
    }


def brought(tab: Tab, *talks: dict[str, Any]) -> None:
    """Import conversations."""
    with tempfile.NamedTemporaryFile("w", suffix=".json", dir=DATA.name) as file:
        json.dump({"format": "fourbit-chat", "version": 1, "conversations": talks}, file)
        file.flush()
        tab.page.locator("#panel input[type=file]").set_input_files(Path(file.name))
        expect(tab.page.locator("#panel li")).to_have_count(len(talks))


def box(tab: Tab) -> Locator:
    return tab.page.get_by_label("Search conversations")


def groups(tab: Tab) -> dict[str, list[str]]:
    """Return the titles in the list under their headings."""
    return tab.page.evaluate("""() => Object.fromEntries(
        [...document.querySelectorAll("#panel h2")].map((heading) => [
            heading.textContent,
            [...heading.nextElementSibling.querySelectorAll("li > button")]
                .map((one) => one.textContent),
        ]))""")


def finds(tab: Tab, query: str, count: str) -> dict[str, list[str]]:
    box(tab).fill("")
    expect(tab.page.locator("#panel .count")).to_be_empty()
    box(tab).fill(query)
    expect(tab.page.get_by_text(count, exact=True)).to_have_role("status")
    return groups(tab)


TALKS = [
    talk("Rain in Zürich", "Often."),
    talk("A poem", "Drops on **the window** of a café,\n\nand snow."),
    talk("Ὀδός", "İstanbul, 東京, हिन्दी, 한국어, x² + (y)."),
    talk("Nothing of it"),
]
ONE = "1 conversation found."


def test_titles_and_texts_are_searched_whatever_the_case_and_accents(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    expect(box(tab)).to_be_hidden()
    brought(tab, *TALKS)
    assert finds(tab, "ZURICH rain", ONE) == {"In titles": ["Rain in Zürich"]}
    expect(tab.page.locator("#panel mark")).to_have_text(["Rain", "Zürich"])
    assert finds(tab, "poem  CAFE window", ONE) == {
        "In messages": ["A poemWell? Drops on the window of a café, and snow."]
    }
    expect(tab.page.locator("#panel mark")).to_have_text(["poem", "window", "café"])
    for query in ("istanbul", "京", "ΟΔΟΣ", "हिन्दी", "한국", "+ (Y)", "x²"):
        (titles,) = finds(tab, query, ONE).values()
        assert titles[0].startswith("Ὀδός")
    assert finds(tab, "in", "3 conversations found.").keys() == {"In titles", "In messages"}
    for nowhere in ("हिन्दू", "obey", "window rain", ".*"):
        assert finds(tab, nowhere, "Nothing found.") == {}
    box(tab).press("Escape")
    expect(box(tab)).to_have_value("")
    expect(tab.page.locator("#panel li")).to_have_count(4)
    expect(tab.page.locator("#panel .count")).to_be_empty()


def test_what_is_found_is_opened_and_what_is_looked_for_stays_in_the_tab(
    url: str, visit: Visit
) -> None:
    tab = visit(url)
    brought(tab, *TALKS)
    sent: list[str] = []
    tab.page.on("request", lambda request: sent.append(request.post_data or ""))
    before = tab.page.evaluate("JSON.stringify(localStorage)")
    finds(tab, "window", ONE)
    assert tab.page.evaluate("JSON.stringify(localStorage)") == before
    assert sent
    assert "window" not in "".join(sent)
    box(tab).press("Tab")
    tab.page.keyboard.press("Enter")
    tab.says("Well?", "Drops on the window of a café,\nand snow.")
    expect(tab.page.locator("#panel [aria-current]")).to_be_focused()
    expect(box(tab)).to_have_value("window")
    tab.ask("And hail?")
    finds(tab, "hail", ONE)
    tab.new_chat()
    expect(tab.page.locator("#panel li")).to_have_count(4)


def test_texts_are_opened_once_and_in_parts_that_a_request_can_hold(url: str, visit: Visit) -> None:
    tab = visit(url)
    noise = random.Random(0)
    long = ["".join(noise.choices(string.ascii_letters, k=400_000)) for _ in range(3)]
    brought(tab, *(talk(f"Talk {number}", text) for number, text in enumerate(long)))
    asked: list[Request] = []
    tab.page.on("request", lambda request: asked.append(request))
    for text in long:
        finds(tab, text[-9:], ONE)
    sizes = [len(one.post_data or "") for one in asked if one.url.endswith("saved_texts")]
    assert len(sizes) == 2
    assert max(sizes) < 1_000_000


@pytest.fixture
def at_noon(browser: Browser, url: str) -> Iterator[Tab]:
    """A page whose clock says `NOW`: in a browser of its own, since others would keep it."""
    context = browser.new_context()
    context.clock.set_fixed_time(NOW)
    yield Tab(context, url)
    context.close()


def test_the_list_is_in_groups_by_day_and_what_is_pinned_stays_on_top(at_noon: Tab) -> None:
    tab = at_noon
    days = (0, 1, 2, 7, 8, 30, 31, 50, 400)
    brought(tab, *(talk(f"{number} days ago", days=number) for number in days))
    by_day = {
        "Today": ["0 days ago"],
        "Yesterday": ["1 days ago"],
        "Previous 7 days": ["2 days ago", "7 days ago"],
        "Previous 30 days": ["8 days ago", "30 days ago"],
        "October 2026": ["31 days ago", "50 days ago"],
        "October 2025": ["400 days ago"],
    }
    assert groups(tab) == by_day
    assert [one.get_attribute("aria-label") for one in tab.page.locator("#panel ul").all()] == list(
        by_day
    )
    tab.page.get_by_role("button", name="50 days ago").click()
    tab.button("Pin").press("Enter")
    pinned = {
        "Pinned": ["50 days ago"],
        **by_day,
        "October 2026": ["31 days ago"],
    }
    assert groups(tab) == pinned
    expect(tab.button("Unpin")).to_be_focused()
    tab.page.reload()
    expect(tab.button("Unpin")).to_be_visible()
    assert groups(tab) == pinned
    tab.button("Delete").click()
    tab.button("Restore").click()
    expect(tab.button("Unpin")).to_be_visible()
    assert list(groups(tab)) == list(pinned)
    tab.button("Unpin").click()
    assert groups(tab) == by_day


def test_what_another_tab_does_to_many_is_drawn_once(url: str, visit: Visit) -> None:
    tab = visit(url)
    brought(tab, *TALKS)
    drawn = tab.page.evaluate("""async () => {
        let drawn = 0;
        const list = document.querySelector("#panel .list");
        new MutationObserver(() => drawn++).observe(list, {childList: true});
        for (let event = 0; event < 50; event++) {
            window.dispatchEvent(new Event("storage"));
            await Promise.resolve();
        }
        while (!drawn) await new Promise((go) => setTimeout(go, 20));
        await new Promise((go) => setTimeout(go, 200));
        return drawn;
    }""")
    assert drawn == 1


def test_on_paper_there_is_the_whole_conversation_alone(url: str, visit: Visit) -> None:
    tab = visit(url)
    code = "```\n" + "long " * 99 + "\n```\n\n" + "Line.\n\n" * 40
    brought(tab, talk("Paper", f"First.\n\n{code}Last."))
    page = tab.page
    page.get_by_role("button", name="Paper").click()
    expect(tab.chat.get_by_text("Last.")).to_be_visible()
    page.emulate_media(media="print", color_scheme="dark")
    for gone in ("#panel", "#message", "#status", "h1", "[role=log] button >> nth=0"):
        expect(page.locator(gone)).to_be_hidden()
    expect(page.get_by_role("button")).to_have_count(0)
    expect(tab.chat.get_by_text("First.")).to_be_visible()
    assert page.evaluate(CUT_OFF) == []
    page.emulate_media(media="screen")
    expect(tab.box).to_be_visible()


#: What has more in it than can be seen, or stands out of the page.
CUT_OFF = """() => [...document.body.querySelectorAll("*")].filter((one) =>
    one.checkVisibility() && (
        getComputedStyle(one).overflowY !== "visible" ||
        one.getBoundingClientRect().right > innerWidth
    )).map((one) => one.outerHTML.slice(0, 200))"""
