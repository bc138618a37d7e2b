"""Replies outlive what happens to a page: a reload, a network that goes, another tab."""

import re

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import PACE, TALK, Tab, Visit, expect, idle_within, slow_talk


def kept(tab: Tab) -> dict[str, str]:
    return tab.page.evaluate("Object.fromEntries(Object.entries(localStorage))")


def test_a_page_that_is_reloaded_goes_on_with_its_reply(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.ask("Hi")
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word3")
    tab.page.reload()
    tab.page.screenshot(path="/tmp/reload0.png")
    expect(tab.replies.last).to_contain_text("word3")
    tab.page.screenshot(path="/tmp/reload1.png")
    expect(tab.status).to_contain_text("Writing: ")
    expect(tab.stop_button).to_be_visible()
    expect(tab.box).not_to_be_editable()
    engine.pace = 0.001
    tab.says("Hi", "Yes.", "Talk", TALK)
    tab.settled("Finished:")
    assert len(engine.prompts) == 2
    tab.page.reload()
    tab.says("Hi", "Yes.", "Talk", TALK)
    print(list(kept(tab)))


def test_stop_after_reload(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(slow_talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies.last).to_contain_text("word3")
    tab.page.reload()
    expect(tab.replies.last).to_contain_text("word4")
    tab.stop_button.click()
    tab.settled("Stopped:")
    assert idle_within(3, engine)
    said = tab.replies.inner_text().strip()
    tab.page.reload()
    tab.says("Talk", said)
