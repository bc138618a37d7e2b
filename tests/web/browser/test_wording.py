"""The page in other words: what it does hangs on none of those in the status line."""

import pytest

from chat.core import status
from chat.errors import EngineError
from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine, last_message
from tests.support.tab import AGES, PACE, Tab, Visit, expect, idle_within, slow_talk


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say the same of everything, and what would mislead who reads it."""
    for name in ("line", "stopped", "failed"):
        monkeypatch.setattr(status, name, lambda *_: "Schluss … Finished: Failed")
    monkeypatch.setattr(status, "SENDING", "Los")


def settled(tab: Tab) -> None:
    expect(tab.send_button).to_be_visible()
    expect(tab.stop_button).to_be_hidden()
    expect(tab.box).to_be_editable()
    expect(tab.status).to_have_text("Schluss … Finished: Failed")


def script(prompt: str) -> str:
    if last_message(prompt) == "Fail":
        raise EngineError("Es geht nicht.")
    return slow_talk(prompt)


def test_a_reply_can_be_stopped_and_continued(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(script, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    expect(tab.button("Continue")).to_be_hidden()
    tab.stop_button.click()
    settled(tab)
    assert idle_within(10, engine)
    said = tab.replies.inner_text()
    tab.button("Continue").click()
    expect(tab.replies).to_contain_text(f"{said}wo", use_inner_text=True)
    tab.stop_button.click()
    settled(tab)
    expect(tab.button("Continue")).to_be_visible()


def test_a_reply_that_was_cut_off_can_be_continued(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(script), max_new_tokens=5))
    tab.send("Talk")
    settled(tab)
    tab.says("Talk", "word0")
    tab.button("Continue").click()
    tab.says("Talk", "word0word0")
    settled(tab)


def test_without_an_answer_the_message_comes_back(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(script, reading=AGES)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.messages).to_have_count(1)
    tab.stop_button.click()
    settled(tab)
    expect(tab.box).to_have_value("Talk")
    tab.says()
    engine.reading = 0
    tab.send("Fail")
    expect(tab.toasts).to_contain_text("Es geht nicht.")
    settled(tab)
    expect(tab.box).to_have_value("Fail")
    tab.says()
    tab.send("Hi")
    tab.says("Hi", "Yes.")
    settled(tab)
    expect(tab.button("Continue")).to_be_hidden()
