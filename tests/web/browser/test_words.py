"""The page in other languages."""

import json
import re
from collections.abc import Iterator

import pytest

from chat.web.words import FOLDER, LANGUAGES
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, ThinkingFormat
from tests.support.tab import AGES, Browser, BrowserContext, Route, Tab, echo, expect

ENGLISH = json.loads((FOLDER / "en.json").read_text("utf-8"))
#: All that a person sees or hears of the page, but for what people and models have written, and
#: the buttons that Gradio itself has words for.
SEEN = """() => {
    const left = "[translate=no], [data-testid=user], [data-testid=bot], pre, .example, " +
        ".icon-button";
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walk.nextNode()) {
        const parent = walk.currentNode.parentElement;
        const shown = parent.checkVisibility({visibilityProperty: true});
        if (shown && !parent.closest(left + ", script, style"))
            found.push(walk.currentNode.data.trim());
    }
    for (const name of ["aria-label", "title", "placeholder"])
        for (const one of document.querySelectorAll(`[${name}]`))
            if (!one.closest(left) && one.checkVisibility({visibilityProperty: true}))
                found.push(one.getAttribute(name).trim());
    return found.filter((text) => /[A-Za-z]{2}/.test(text));
}"""
#: Puts a text there, moves it about, and tells what it says each time.
AGAIN = """async () => {
    const one = document.createElement("p");
    one.textContent = "12,345 tokens, 1.5 tokens/s";
    one.title = one.textContent;
    const said = [];
    for (let round = 0; round < 5; round++) {
        document.body.append(one);
        await new Promise((resolve) => setTimeout(resolve, 20));
        said.push(one.textContent + one.title);
    }
    return said;
}"""
#: What is the same everywhere: names, and what Gradio says of itself.
SAME = {"Ann's model", "model", "JSON", "Markdown"}


@pytest.fixture
def contexts(browser: Browser) -> Iterator[list[BrowserContext]]:
    made: list[BrowserContext] = []
    yield made
    for context in made:
        context.close()


def abroad(browser: Browser, made: list[BrowserContext], locale: str) -> BrowserContext:
    context = browser.new_context(locale=locale)
    made.append(context)
    return context


def pseudo(route: Route) -> None:
    """Answer with words that are told from English at once."""
    route.fulfill(json={text: f"«{text}»" for text in ENGLISH})


def english(tab: Tab) -> list[str]:
    said = tab.page.evaluate(SEEN)
    return [text for text in said if "«" not in text and text not in SAME]


def test_no_word_of_the_page_stays_english(
    browser: Browser, contexts: list[BrowserContext], serve: Serve
) -> None:
    def script(prompt: str) -> str:
        return f"<think>So.</think>{echo(prompt)} {len(engine.prompts)}"

    engine = ScriptedEngine(script)
    context = abroad(browser, contexts, "de-DE")
    context.route("**/words/de.json", pseudo)
    tab = Tab(context, serve(engine, format=ThinkingFormat(), title="Ann's model"))
    expect(tab.page.get_by_text("«Say something.»")).to_be_visible()
    assert english(tab) == []
    tab.page.get_by_role("button", name="«Settings»").click()
    expect(tab.page.get_by_text("«System prompt»", exact=True)).to_be_visible()
    closed = tab.page.locator("#drawer .label-wrap:not(.open)")
    while closed.count():
        closed.first.click()
    tab.page.wait_for_timeout(300)
    assert english(tab) == []
    tab.send("Hi")
    expect(tab.status).to_contain_text("«Finished: «")
    tab.chat.locator(".message-buttons-left .icon-button").nth(1).click()  # Retry
    expect(tab.page.get_by_text("«2 of 2»")).to_be_visible()
    expect(tab.status).to_contain_text("«Finished: «")
    tab.page.get_by_role("button", name="«How this reply was made»").click()
    expect(tab.page.get_by_text("«by itself»")).to_be_visible()
    assert english(tab) == []
    tab.send(" ")
    expect(tab.toasts).to_contain_text("«Please write a message first.»")
    engine.reading = AGES
    tab.send("Wait")
    expect(tab.status).to_contain_text("«Reading ")
    tab.page.get_by_role("button", name="«Delete message»").first.click()
    expect(tab.page.locator("#saying")).to_contain_text("«A reply is being written.")
    assert english(tab) == []
    tab.stop_button.click()
    expect(tab.status).to_contain_text("«Stopped before the first word»")
    tab.page.locator("#panel input[type=search]").fill("Hi")
    expect(tab.page.locator("#panel .count")).to_contain_text("«1 conversation found.»")
    assert english(tab) == []


def test_what_people_and_models_write_stays_as_it_is(
    browser: Browser, contexts: list[BrowserContext], serve: Serve
) -> None:
    context = abroad(browser, contexts, "de-DE")
    context.route("**/words/de.json", pseudo)
    tab = Tab(context, serve(ScriptedEngine(lambda _: "Stop")))
    expect(tab.page.get_by_text("«Say something.»")).to_be_visible()
    tab.send("Settings")
    tab.says("Settings", "Stop")
    expect(tab.page.locator("#panel li > button")).to_have_text("Settings")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Settings")


def test_numbers_and_parts_are_put_into_words(
    browser: Browser, contexts: list[BrowserContext], serve: Serve
) -> None:
    tab = Tab(abroad(browser, contexts, "de-DE"), serve(ScriptedEngine(echo)))
    expect(tab.button("Einstellungen")).to_be_visible()
    expect(tab.page.locator("html")).to_have_attribute("lang", "de")

    def said(text: str) -> str:
        found: str = tab.page.evaluate("(text) => window.translate(text)", text)
        return found

    for speed in ("12.5", "1,234.0"):
        line = said(f"Finished: 1,234 tokens, {speed} tokens/s")
        assert "1.234 Token" in line
        assert speed.replace(",", "x").replace(".", ",").replace("x", ".") in line
    assert said("Imported 2 conversations; 3 hold no text.\na.json is empty.") == (
        f"{said('Imported 2 conversations; 3 hold no text.')}\n{said('a.json is empty.')}"
    )
    for part in ("Imported", "hold", "empty"):
        assert part not in said("Imported 2 conversations; 3 hold no text.\na.json is empty.")
    refused = said("JSON schema can never be fulfilled, at properties.a.")
    assert "properties.a " in refused
    assert "fulfilled" not in refused
    assert said("Whatever else 7 is said.") == "Whatever else 7 is said."
    assert "model" not in said(
        "0 always takes the likeliest token; higher is freer. 0.6 is this model's own."
    ).replace("Modell", "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_in_place_is_not_looked_up_again(
    browser: Browser, contexts: list[BrowserContext], serve: Serve, language: str
) -> None:
    """In some languages it is said as in English, but for its numbers."""
    tab = Tab(abroad(browser, contexts, language), serve(ScriptedEngine(echo)))
    there = json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    expect(tab.page.get_by_role("button", name=there["Settings"], exact=True)).to_be_visible()
    said = tab.page.evaluate(AGAIN)
    assert len(set(said)) == 1
    assert re.search("12.?345", said[0])


@pytest.mark.parametrize(
    ("locales", "language"),
    [("pt-BR", "pt"), ("nl-NL", "en"), ("zh-Hant-TW", "zh"), ("en-GB", "en")],
)
def test_the_language_is_the_browsers_if_it_is_there(
    browser: Browser, contexts: list[BrowserContext], serve: Serve, locales: str, language: str
) -> None:
    page = abroad(browser, contexts, locales).new_page()
    page.goto(serve(ScriptedEngine()))
    there = {} if language == "en" else json.loads((FOLDER / f"{language}.json").read_text("utf-8"))
    settings = there.get("Settings", "Settings")
    expect(page.get_by_role("button", name=settings, exact=True)).to_be_visible()


def test_arabic_runs_from_right_to_left(
    browser: Browser, contexts: list[BrowserContext], serve: Serve
) -> None:
    page = abroad(browser, contexts, "ar-EG").new_page()
    page.set_viewport_size({"width": 1400, "height": 800})
    page.goto(serve(ScriptedEngine()))
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    page.locator("#header button[value=drawer]").click()
    expect(page.locator("#drawer")).to_have_class(re.compile("open"))
    page.wait_for_timeout(600)
    panel, drawer = (page.locator(name).bounding_box() for name in ("#panel", "#drawer"))
    box = page.locator("#message").bounding_box()
    assert panel
    assert drawer
    assert box
    assert panel["x"] + panel["width"] == pytest.approx(1400, abs=2)
    assert drawer["x"] == pytest.approx(0, abs=2)
    assert box["x"] >= drawer["width"]
    assert box["x"] + box["width"] <= panel["x"]


def test_a_host_s_own_words_stay(
    browser: Browser, contexts: list[BrowserContext], serve: Serve
) -> None:
    tab = Tab(abroad(browser, contexts, "de-DE"), serve(ScriptedEngine(), welcome="My **page**."))
    expect(tab.page.get_by_text("My page.")).to_be_visible()
