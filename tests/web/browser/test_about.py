"""What a person can learn of a reply, and of the room that is left; and titles and ratings."""

import json
import re
from pathlib import Path

from tests.conftest import Serve
from tests.support.fakes import ScriptedEngine
from tests.support.tab import Tab, Visit, echo, expect


def facts(tab: Tab) -> dict[str, str]:
    names, values = (tab.page.locator(f".tools dl:visible {one}") for one in ("dt", "dd"))
    return dict(zip(names.all_inner_texts(), values.all_inner_texts(), strict=True))


def test_how_a_reply_was_made_is_told_on_demand_and_after_a_reload(
    serve: Serve, visit: Visit
) -> None:
    tab = visit(serve(ScriptedEngine(echo, pace=0.02, cached=4)))
    tab.button("Settings").click()
    tab.setting("Temperature", "0.35")
    tab.ask("Hi")
    tab.new_chat()
    tab.ask("Hi")  # again, since what only others have sent is not told
    about = tab.button("How this reply was made")
    expect(about).to_have_attribute("aria-expanded", "false")
    about.click()
    told = facts(tab)
    assert re.fullmatch(r"\d+ tokens", told["Read"])
    assert told["From the cache"] == "4 tokens"
    assert told["Wrote"] == "6 tokens"
    assert re.fullmatch(r"[\d.]+ tokens/s", told["Speed"])
    assert re.fullmatch(r"after [\d.]+ s", told["First token"])
    assert told["Ended"] == "by itself"
    assert told["Temperature"] == "0.35"
    about.click()
    expect(tab.page.locator(".tools dl")).to_be_hidden()
    with tab.page.expect_download():
        tab.button("Export all").click()  # it is saved
    tab.page.reload()
    tab.button("How this reply was made").click()
    assert facts(tab) == told


def test_the_window_fills_up(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    engine.window = 400
    tab = visit(serve(engine))
    meter = tab.page.get_by_role("meter")
    expect(meter).to_be_hidden()
    tab.ask("Hi")
    expect(meter).to_have_accessible_name(
        re.compile(r"^\d+ of the 400 tokens that the model can see\.$")
    )
    while not meter.evaluate("one => one.classList.contains('nearly')"):
        tab.ask("word " * 10)
    expect(meter).to_have_accessible_name(
        re.compile(r"(Soon the oldest turns will be|The oldest turns are) left out\.$")
    )
    tab.new_chat()
    expect(meter).to_be_hidden()


def test_the_model_gives_a_title_that_a_person_can_change(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda prompt: "Clouds" if "title" in prompt else "Since it is full.")
    tab = visit(serve(engine, titles=True))
    tab.ask("Why does it rain?")
    expect(tab.page.locator("#panel li > button")).to_have_text("Clouds")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text("Clouds")
    asked = len(engine.prompts)
    tab.ask("More")
    tab.button("Rename").click()
    tab.page.get_by_label("Title").fill("Mine")
    tab.page.get_by_label("Title").press("Enter")
    expect(tab.page.locator("#panel li > button")).to_have_text("Mine")
    tab.ask("And more")
    expect(tab.page.locator("#panel li > button")).to_have_text("Mine")
    assert len(engine.prompts) == asked + 2


def test_a_title_of_ones_own_stays_where_the_model_had_none_yet(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(lambda prompt: "" if "title" in prompt else "Since it is full.")
    tab = visit(serve(engine, titles=True))
    tab.ask("Why does it rain?")
    tab.button("Rename").click()
    tab.page.get_by_label("Title").fill("Mine")
    tab.page.get_by_label("Title").press("Enter")
    expect(tab.page.locator("#panel li > button")).to_have_text("Mine")
    engine.script = lambda _: "Clouds"
    tab.ask("More")
    with tab.page.expect_download():
        tab.button("Export all").click()
    expect(tab.page.locator("#panel li > button")).to_have_text("Mine")


def test_a_rating_is_sent_once_it_is_said_to_whom(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    file = tmp_path / "ratings.jsonl"
    tab = visit(serve(ScriptedEngine(echo), feedback=file))
    tab.ask("Hi")
    tab.button("Good reply").click()
    expect(tab.page.locator("#saying span")).to_have_text(
        "Your rating is sent to whoever runs this page, with the conversation up to here."
    )
    assert file.read_text() == ""
    tab.button("Send rating").click()
    expect(tab.page.locator("#saying span")).to_have_text("Thank you.")
    rating = json.loads(file.read_text())
    assert rating["good"] is True
    assert [one["content"] for one in rating["messages"]] == ["Hi", "Re: Hi"]


def test_nobody_is_asked_where_nothing_is_collected(serve: Serve, visit: Visit) -> None:
    tab = visit(serve(ScriptedEngine(echo)))
    tab.ask("Hi")
    expect(tab.button("Good reply")).to_have_count(0)
