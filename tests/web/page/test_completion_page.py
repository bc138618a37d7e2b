"""The page of a base model, in a browser and for API clients: the text continues in place."""

import re

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Locator, expect
from playwright.sync_api import Page as BrowserPage

from chat.errors import EngineError
from prompts.formats.plain import Plain
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Visit, browser, visit  # noqa: F401

SO_FAR = "This is a nice story that makes me"


def on(prompt: str) -> str:
    return f" feel {len(prompt)}"


def fail(prompt: str) -> str:
    raise EngineError("The model stumbled.")


def opened(visit: Visit, url: str) -> tuple[BrowserPage, Locator, Locator]:  # noqa: F811
    tab = visit(url)
    return tab.page, tab.box, tab.page.get_by_role("button", name="Continue")


def test_the_text_continues_in_place_again_and_again(serve: Serve, visit: Visit) -> None:  # noqa: F811
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


def test_undo_takes_back_what_was_added_last(serve: Serve, visit: Visit) -> None:  # noqa: F811
    page, text, go = opened(visit, serve(ScriptedEngine(on), format=Plain()))
    undo = page.get_by_role("button", name="Undo")
    expect(undo).to_be_disabled()
    text.fill(SO_FAR)
    go.click()
    expect(text).to_have_value(f"{SO_FAR} feel 34")
    undo.click()
    expect(text).to_have_value(SO_FAR)
    expect(undo).to_be_disabled()


def test_stop_keeps_what_is_there_and_frees_the_model(serve: Serve, visit: Visit) -> None:  # noqa: F811
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


def test_after_an_error_the_text_is_there_as_it_was(serve: Serve, visit: Visit) -> None:  # noqa: F811
    page, text, go = opened(visit, serve(ScriptedEngine(fail), format=Plain()))
    text.fill(SO_FAR)
    go.click()
    expect(page.locator("#status")).to_contain_text("Failed: The model stumbled.")
    expect(text).to_have_value(SO_FAR)
    expect(text).to_be_enabled()
    expect(go).to_be_visible()


def test_an_api_client_gets_what_comes_after_its_text(serve: Serve) -> None:
    engine = ScriptedEngine(on)
    client = Client(serve(engine, format=Plain()), verbose=False, analytics_enabled=False)
    added, status = client.predict(SO_FAR, max_new_tokens=5, api_name="/complete")
    assert added == " feel"
    assert status == "Cut off at the length limit: 5 tokens"
    assert list(client.view_api(return_format="dict")["named_endpoints"]) == ["/complete"]
    with pytest.raises(AppError, match="Max new tokens must be at least 1"):
        client.predict(SO_FAR, max_new_tokens=0, api_name="/complete")
