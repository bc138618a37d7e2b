"""Replies outlive what happens to a page: a reload, a network that goes, another tab."""

import re
from pathlib import Path

import pytest

from tests.conftest import Serve, serving
from tests.support.fakes import ScriptedEngine
from tests.support.tab import PACE, Route, Tab, Visit, echo, expect, idle_within, last_message
from tests.support.wire import wire

TALK = " ".join(f"word{number}" for number in range(70))
"""A reply of less tokens than the page asks for at most."""


def talk(prompt: str) -> str:
    return TALK if "Talk" in last_message(prompt) else "Yes."


#: Whether a reply is being written to what is saved, and whether none is any more.
RUNNING = "Object.keys(localStorage).some((item) => item.endsWith(':reply'))"
OVER = f"!{RUNNING}"


def grows(tab: Tab, sooner: str, later: str) -> None:
    """Wait until a reply is seen to go on, and that it can be stopped."""
    expect(tab.replies.last).to_contain_text(sooner)
    expect(tab.stop_button).to_be_visible()
    expect(tab.box).not_to_be_editable()
    expect(tab.replies.last).to_contain_text(later)


def finishes(tab: Tab, engine: ScriptedEngine, *conversation: str) -> None:
    """Let the reply end, and wait until that is shown and saved, once."""
    engine.pace = 0.001
    tab.says(*conversation)
    tab.settled("Finished:")
    expect(tab.page.locator("#panel li")).to_have_count(1)
    # Else the page may come back to it once more, and says so.
    tab.page.wait_for_function(OVER)
    tab.page.reload()
    tab.says(*conversation)
    expect(tab.status).to_have_text("")
    expect(tab.page.locator("#panel li")).to_have_count(1)


@pytest.mark.parametrize("way", ["sent", "retried", "edited", "continued"])
def test_a_page_that_is_reloaded_goes_on_with_its_reply(
    way: str, serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk" if way == "continued" else "Hi")
    if way == "continued":
        expect(tab.replies).to_contain_text("word1")
        tab.stop_button.click()
        tab.settled("Stopped:")
        said = tab.replies.inner_text().strip()
        engine.script = lambda _: TALK.removeprefix(said)
        tab.button("Continue").click()
    else:
        tab.settled("Finished:")
        engine.script = lambda _: TALK
        if way == "sent":
            tab.send("Talk")
        elif way == "retried":
            tab.button("Retry").click()
        else:
            tab.edit(0, "Talk")
    expect(tab.replies.last).to_contain_text("word3")
    tab.page.reload()
    grows(tab, "word3", "word5")
    expect(tab.status).to_contain_text("Writing: ")
    asked = {"sent": ["Hi", "Yes.", "Talk"], "retried": ["Hi"]}.get(way, ["Talk"])
    finishes(tab, engine, *asked, TALK)
    assert len(engine.prompts) == 2


def test_a_reply_that_ends_meanwhile_is_there_when_the_page_is(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE)
    url = serve(engine)
    tab = visit(url)
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.page.goto("about:blank")
    engine.pace = 0.001
    assert idle_within(10, engine)
    tab.page.goto(url)
    finishes(tab, engine, "Talk", TALK)
    assert len(engine.prompts) == 1


def test_stop_stops_on_a_page_that_was_reloaded(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.page.reload()
    grows(tab, "word1", "word3")
    tab.stop_button.click()
    tab.settled("Stopped:")
    assert idle_within(3, engine)
    said = tab.replies.inner_text().strip()
    assert TALK.startswith(said)
    tab.page.reload()
    tab.says("Talk", said)
    engine.script = echo
    tab.ask("Next")
    tab.says("Talk", said, "Next", "Re: Next")


def test_clear_on_a_page_that_was_reloaded_ends_the_reply(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE)
    tab = visit(serve(engine))
    tab.send("Talk")
    expect(tab.replies).to_contain_text("word1")
    tab.page.reload()
    grows(tab, "word1", "word3")
    tab.button("Clear").click()
    expect(tab.box).to_be_editable()
    expect(tab.chat.get_by_text("Say something.")).to_be_visible()
    assert idle_within(3, engine)
    tab.ask("Hi")
    tab.says("Hi", "Yes.")


def test_a_network_that_goes_is_waited_for_and_the_reply_went_on(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(talk, PACE)
    with wire(serve(engine)) as network:
        tab = visit(network.url)
        tab.send("Talk")
        expect(tab.replies).to_contain_text("word1")
        network.cut()
        saying = tab.page.locator("#saying span")
        expect(saying).to_have_text("The connection is lost. Connecting again…")
        expect(tab.toasts).to_be_hidden()
        network.mend()
        grows(tab, "word6", "word9")
        expect(saying).to_have_count(0)
        finishes(tab, engine, "Talk", TALK)
        assert len(engine.prompts) == 1


def test_a_network_that_goes_without_a_word_is_noticed(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE * 2)
    with wire(serve(engine)) as network:
        tab = visit(network.url)
        tab.send("Talk")
        expect(tab.replies).to_contain_text("word1")
        network.still()
        network.mend()
        expect(tab.replies).to_contain_text("word20")
        finishes(tab, engine, "Talk", TALK)
        assert len(engine.prompts) == 1


def test_a_message_that_could_not_be_sent_is_still_there(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(echo)
    with wire(serve(engine)) as network:
        tab = visit(network.url)
        tab.ask("Hi")
        tab.page.wait_for_function(OVER)
        network.cut()
        tab.send("One more")
        expect(tab.page.locator("#saying span")).to_contain_text("The connection is lost.")
        network.mend()
        expect(tab.page.locator("#saying span")).to_have_count(0)
        tab.says("Hi", "Re: Hi")
        expect(tab.box).to_have_value("One more")
        tab.box.press("Enter")
        tab.says("Hi", "Re: Hi", "One more", "Re: One more")
        tab.settled("Finished:")
        tab.page.reload()
        tab.says("Hi", "Re: Hi", "One more", "Re: One more")
        expect(tab.box).to_have_value("")


def test_nor_are_its_files_gone_or_what_was_edited(
    serve: Serve, visit: Visit, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("All of it.")
    with wire(serve(ScriptedEngine(echo))) as network:
        tab = visit(network.url)
        tab.ask("Hi")
        tab.page.wait_for_function(OVER)
        tab.page.locator("#composer input[type=file]").set_input_files([tmp_path / "a.txt"])
        files = tab.page.locator("#files span")
        expect(files).to_have_count(1)
        network.cut()
        tab.send("Read it.")
        expect(tab.page.locator("#saying span")).to_contain_text("The connection is lost.")
        network.mend()
        expect(tab.page.locator("#saying span")).to_have_count(0)
        expect(tab.box).to_have_value("Read it.")
        expect(files).to_have_count(1)
        tab.box.press("Enter")
        expect(tab.replies).to_have_count(2)
        tab.settled("Finished:")
        expect(files).to_have_count(0)
        network.cut()
        tab.edit(0, "Hello, all of you")
        expect(tab.page.locator("#saying span")).to_contain_text("The connection is lost.")
        network.mend()
        expect(tab.page.locator("#saying span")).to_have_count(0)
        expect(tab.box).to_have_value("Hello, all of you")


def two_tabs(url: str, visit: Visit) -> tuple[Tab, Tab]:
    """Return one in which a reply is written, and an empty one beside it."""
    first = visit(url)
    first.send("Talk")
    expect(first.replies).to_contain_text("word1")
    return first, Tab(first.page.context, url)


def test_a_second_tab_shows_the_same_reply_and_changes_nothing_in_the_first(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(talk, PACE)
    first, second = two_tabs(serve(engine), visit)
    second.page.locator("#panel li > button").click()
    grows(second, "word1", "word5")
    grows(first, "word5", "word7")
    engine.pace = 0.001
    for tab in (first, second):
        tab.says("Talk", TALK)
        tab.settled("Finished:")
    first.ask("Hi")
    first.says("Talk", TALK, "Hi", "Yes.")
    expect(first.page.locator("#panel li")).to_have_count(1)
    assert len(engine.prompts) == 2


def test_a_second_tab_that_is_slow_to_save_it_leaves_the_first_what_it_goes_on_with(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(talk, PACE)
    first, second = two_tabs(serve(engine), visit)
    saves: list[Route] = []
    second.page.route("**/saved_seal", lambda route: saves.append(route))
    second.page.locator("#panel li > button").click()
    grows(second, "word1", "word3")
    engine.pace = 0.001
    with second.page.expect_request("**/saved_seal"):
        second.settled("Finished:")
    first.settled("Finished:")
    first.page.wait_for_function(OVER)
    engine.pace = PACE
    first.send("Talk more")
    first.page.wait_for_function(RUNNING)
    saves.pop().continue_()
    second.new_chat()  # once it is saved
    first.page.reload()
    expect(first.replies).to_have_count(2)
    grows(first, "word3", "word5")
    finishes(first, engine, "Talk", TALK, "Talk more", TALK)
    assert len(engine.prompts) == 2


def test_a_second_tab_can_stop_it_for_both(serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE)
    first, second = two_tabs(serve(engine), visit)
    second.page.locator("#panel li > button").click()
    grows(second, "word1", "word3")
    second.stop_button.click()
    for tab in (first, second):
        tab.settled("Stopped:")
    assert idle_within(3, engine)


def test_a_reply_without_a_page_keeps_nobody_waiting_and_loses_nothing(
    serve: Serve, visit: Visit
) -> None:
    engine = ScriptedEngine(talk, PACE)
    url = serve(engine, max_waiting=0)
    away, other = visit(url), visit(url)
    away.send("Talk")
    expect(away.replies).to_contain_text("word3")
    away.page.goto("about:blank")
    other.ask("Hi")
    other.says("Hi", "Yes.")
    away.page.goto(url)
    away.says("Talk", re.compile("word0 word1 word2 word3"))  # type: ignore[arg-type]
    away.settled("Stopped:")
    expect(away.button("Continue")).to_be_visible()
    assert engine.most_active == 1


@pytest.mark.parametrize("token", ["forged", "somebody else's"])
def test_who_has_no_token_of_it_gets_nothing(token: str, serve: Serve, visit: Visit) -> None:
    engine = ScriptedEngine(talk, PACE)
    with serving() as serve_other:
        there, elsewhere = visit(serve(engine)), visit(serve_other(ScriptedEngine(echo)))
        elsewhere.ask("Hi")
        there.send("Talk")
        expect(there.replies).to_contain_text("word1")
        items = "Object.keys(localStorage).filter((item) => item.endsWith(':reply'))"
        (item,) = there.page.evaluate(items)
        mine = there.page.evaluate("(item) => localStorage[item]", item)
        text = elsewhere.page.evaluate(
            "Object.entries(localStorage).find(([item]) => item.endsWith(':text'))[1]"
        ).split(" ")[1]
        wrong = mine[:-8] + "AAAAAA==" if token == "forged" else text
        there.page.evaluate("([item, wrong]) => localStorage[item] = wrong", [item, wrong])
        there.page.reload()
        there.says("Talk")
        there.settled("The reply to the last message was lost.")
        assert there.page.evaluate(items) == []


def test_a_server_that_was_started_anew_takes_no_conversation_along(
    visit: Visit, tmp_path: Path
) -> None:
    with serving() as serve:
        url = serve(ScriptedEngine(talk, PACE), data_dir=tmp_path)
        tab = visit(url)
        tab.send("Talk")
        expect(tab.replies).to_contain_text("word1")
    port = int(url.strip("/").rpartition(":")[2])
    with serving() as serve:
        serve(ScriptedEngine(echo), data_dir=tmp_path, server_port=port)
        tab.settled("The ")
        expect(tab.status).to_contain_text("lost.")
        expect(tab.messages).to_have_text("Talk")
        expect(tab.page.locator("#panel li")).to_have_count(1)
        tab.page.goto(url)
        expect(tab.messages).to_have_text("Talk")
