"""The page of a base model, in a browser: the text continues in place."""

import re

from playwright.sync_api import Locator, expect
from playwright.sync_api import Page as BrowserPage

from chat.errors import EngineError
from prompts.formats.plain import Plain
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Visit

SO_FAR = "This is a nice story that makes me"


def on(prompt: str) -> str:
    return f" feel {len(prompt)}"


def fail(prompt: str) -> str:
    raise EngineError("The model stumbled.")


def opened(visit: Visit, url: str) -> tuple[BrowserPage, Locator, Locator]:
    tab = visit(url)
    return tab.page, tab.box, tab.page.get_by_role("button", name="Continue")


def test_the_text_continues_in_place_again_and_again(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(on)
    page, text, go = opened(visit, serve(engine, format=Plain()))
    text.fill(SO_FAR)
    go.click()
    expect(text).to_have_value(f"{SO_FAR} feel {len(SO_FAR)}")
    expect(page.locator("#status")).to_contain_text("Finished: 8 tokens")
    go.click()
    expect(text).to_have_value(f"{SO_FAR} feel 34 feel 42")
    assert engine.prompts == [SO_FAR, f"{SO_FAR} feel 34"]
    assert page.get_by_role("button", name="Retry").count() == 0, "it does not pretend to chat"


def test_undo_takes_back_what_was_added_last(serve: Serve, visit: Visit) -> None:
    page, text, go = opened(visit, serve(ScriptedEngine(on), format=Plain()))
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_disabled()
    text.fill(SO_FAR)
    go.click()
    expect(text).to_have_value(f"{SO_FAR} feel 34")
    typed = f"{SO_FAR} feel 34 times as good"
    text.fill(typed)
    undo.click()
    expect(text).to_have_value(SO_FAR)
    undo.click()
    expect(text).to_have_value(typed)


def test_the_text_is_there_after_the_page_was_loaded_anew(serve: Serve, visit: Visit) -> None:
    page, text, go = opened(visit, serve(ScriptedEngine(on), format=Plain()))
    text.fill(SO_FAR)
    page.reload()
    expect(text).to_have_value(SO_FAR)
    go.click()
    expect(page.locator("#status")).to_contain_text("Finished: 8 tokens")
    page.reload()
    expect(text).to_have_value(f"{SO_FAR} feel 34")
    go.click()
    expect(text).to_have_value(f"{SO_FAR} feel 34 feel 42")


def test_stop_keeps_what_is_there_and_frees_the_model(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda _: " and" * 300, pace=0.02)
    page, text, go = opened(visit, serve(engine, format=Plain()))
    text.fill(SO_FAR)
    go.click()
    expect(text).to_have_value(re.compile(f"^{SO_FAR} and"))
    expect(page.locator("#status")).to_contain_text("Writing")
    expect(text).to_be_disabled()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#status")).to_contain_text("Stopped")
    expect(go).to_be_visible()
    expect(text).to_be_enabled()
    assert text.input_value().startswith(f"{SO_FAR} and")
    assert engine.active == 0


def test_after_an_error_the_text_is_there_as_it_was(serve: Serve, visit: Visit) -> None:
    page, text, go = opened(visit, serve(ScriptedEngine(fail), format=Plain()))
    text.fill(SO_FAR)
    go.click()
    expect(page.locator("#status")).to_contain_text("Failed: The model stumbled.")
    expect(text).to_have_value(SO_FAR)
    expect(text).to_be_enabled()
    expect(go).to_be_visible()
